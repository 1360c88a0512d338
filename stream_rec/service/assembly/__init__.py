"""Settings in, objects out: the only room of the service that sees `Settings`.

Each of `batch_job`, `standalone` and `kafka` makes one kind of run, in a straight line; the stack of what was opened
undoes it in the reverse order. What they share is made in `engine`, `inputs`, `outputs`, `brokers`, `tracing` and
`handle`. Each is imported where it is used: importing this package compiles nothing.
"""
