"""Zhangban decides here: one folder per domain, one file per activity, one file per tool."""
