"""Logs to try stream-rec with: readers of public ones, the bundled sample, a seeded simulator.

Stands beside the core, which never imports it. Importing this package reads no file and draws no
number: each part is imported where it is used.
"""
