"""What Zhangban remembers: tables only, one file per domain."""

MODELS = [
    "models.events",
    "models.idempotency",
    "models.callbacks",
    "models.regions",
    "models.identity",
    "models.catalogue",
    "models.calendar",
    "models.cases",
    "models.notifications",
    "models.appointments",
]
"""Every module with tables, in the order of the domains."""
