"""How fast Zhangban is, against the bare limit of the same work and against the same thing as it is usually written."""
