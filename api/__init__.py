"""Zhangban answers here: one folder per kind of caller, each behind its guard."""
