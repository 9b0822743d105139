"""What Zhangban remembers: tables only, one file per domain."""

MODELS = [
    "models.events",
    "models.idempotency",
    "models.callbacks",
    "models.regions",
    "models.identity",
    "models.delegations",
    "models.catalogue",
    "models.calendar",
    "models.cases",
    "models.notifications",
    "models.appointments",
    "models.queueing",
    "models.payments",
    "models.reconciliation",
    "models.deliveries",
    "models.shipments",
]
"""Every module with tables, in the order of the domains."""
