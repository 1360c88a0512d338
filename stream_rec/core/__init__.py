"""The pure core: events in, answers out, the same for the same log on any machine.

It imports nothing of stream-rec but `errors` and `units`: no clock, no thread, no network, no terminal, no randomness.
"""
