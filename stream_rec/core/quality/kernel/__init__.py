"""Compiled loops over answers and the events that follow them."""
