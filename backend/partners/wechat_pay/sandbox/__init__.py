"""A WeChat Pay of our own: the HTTP of api.mch.weixin.qq.com with orders, refunds, bills, keys that change, and
notices that repeat.

Signing, checking and sealing are written here once more on purpose: a sandbox that shared them with the adapter
would share its mistakes. What it imitates and its test control: docs/sandbox.md.
"""
