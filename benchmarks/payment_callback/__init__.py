"""The callback of WeChat Pay: verified, opened, and in the books, in one transaction, before it is answered.

Three programs take the same signed notices into the same tables: a bare one, Zhangban as it is deployed, and the usual
stack. And what a partner's outage of an hour leaves behind is drained through everything, the worker included.
"""
