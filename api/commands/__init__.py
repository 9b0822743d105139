"""What `zhangban` can be told to do: one module per command, each with `add(parser)` and `run(arguments)`."""


class CommandFailed(Exception):
    """A command cannot go on; the message is for the operator, who needs no traceback."""
