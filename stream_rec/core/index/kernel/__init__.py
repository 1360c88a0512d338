"""Compiled loops over flat arrays: no ids, no allocation for each posting, no clock, no randomness.

Each module lists in `__all__` what other modules use; all else is private to it. Local names are short: `slot` is a
session's ordinal, `item` an item's, `p` the parameters of one model, `c` a candidate, and `at` a place in an arena.
"""
