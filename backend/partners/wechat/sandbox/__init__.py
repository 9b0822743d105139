"""A WeChat of our own: the same HTTP as api.weixin.qq.com, with state, errors, quotas, and events pushed
back.

What it imitates is in protocols §1 and §7; nothing of it is ever mounted in production.
"""
