"""A WeChat of our own: the same HTTP as api.weixin.qq.com, with state, errors, quotas, and events pushed
back.

What it imitates and its test control: docs/sandbox.md; nothing of it is ever mounted in production.
"""
