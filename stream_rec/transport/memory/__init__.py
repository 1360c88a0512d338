"""Doubles that keep everything in memory, with faults on request: a log, a sink, a whole broker."""
