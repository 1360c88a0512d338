"""Data at rest as tables: data frames, dictionaries and whole log files, read column by column.

Imports nothing heavy: each part is imported where it is used. Knows nothing of services and settings.
"""
