"""What Zhangban remembers: tables only, one file per domain."""

MODELS = [
    "models.events",
    "models.idempotency",
    "models.regions",
    "models.identity",
    "models.catalogue",
    "models.calendar",
    "models.cases",
]
"""Every module with tables, in the order of the domains."""
