"""Messages on their way: how many a worker sends per second to a partner that takes 20 ms for each.

The limit is what the HTTP client alone can do: the same calls through the same client, with as many at once, and
nothing around them. Then a backlog of tens of thousands is drained by several workers, and the partner's own log says
whether anything was lost, sent twice, or sent to anybody out of order.
"""
