"""Compiled loops over flat arrays: no ids, no allocation for each posting, no clock, no randomness."""
