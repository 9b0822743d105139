"""Notifications: events become messages. Nothing below this package knows that it exists."""
