"""What every process pays before it works: imports, the command line, and an empty database.

The limit of the application's import is that of the two frameworks it stands on, litestar and tortoise; the limit of
`migrate` is the import of its command: what is above that are the models, the plan and PostgreSQL's answers. CPU
seconds of fresh interpreters are compared, not the time on the wall, and each round takes the programs in turns.
"""
