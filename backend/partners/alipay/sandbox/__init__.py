"""An Alipay of our own: the gateway, order strings that an app opens, and notices that repeat until `success`.

Signing and checking are written here once more on purpose, as in the sandbox of WeChat Pay. What it imitates and its
test control: docs/sandbox.md.
"""
