"""Test doubles in memory, with faults on request: a log, a sink, a broker."""
