"""The embedded run: a log in, a live engine, answers out; nothing to install but Python.

`build` makes the parts from settings, `processor` judges records and asks the engine, `runner` drives them.
Each is imported where it is used: importing this package compiles nothing.
"""
