"""What `zhangban` can be told to do: one module per command, each with `add(parser)` and `run(arguments)`."""
