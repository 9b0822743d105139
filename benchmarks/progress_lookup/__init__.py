"""`GET /v1/resident/cases/{number}`: token, owner, case, timeline. The read that the whole service lives by.

Three programs answer the same requests over the same data, on the same server with the same pool:

- `ours`: Zhangban as it is deployed;
- `bare`: the limit. ASGI and asyncpg without a framework, tuned as hard as we could;
- `usual`: FastAPI, SQLAlchemy and pydantic, written the way people write it.
"""
