"""The service: a log in, a live engine, answers out. With a broker or without, for files that end or for good.

`assembly` makes a run from settings; `running` holds its threads. On its way, a record goes through `consuming`,
`processing` and `committing`; `requests` brings what other threads ask. `reporting` and `metrics` show how it is doing,
and `handle` is what others may use of it. Importing this package compiles nothing.
"""
