"""Records in and answers out: files and pipes, Kafka, and doubles of both in memory.

Each is a package of its own; `records` and `broker` hold the types and protocols that they share. No module here
knows what a session is, and the core knows no transport.
"""
