"""Zhangban tells here: events become messages; nothing below this package knows that it exists."""
