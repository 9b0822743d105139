"""Booking: how much one slot and a thousand slots can take, and what the release at 08:00 is like.

- `ceiling`: the use case `book` against a bare asyncpg program that must do the same to be right: take the place by a
  conditional update, write the appointment, write an outbox row, in one transaction on the same durable server.
- `release`: an open loop plays the release against the service as it is deployed: processes, pool, door and worker.
"""
