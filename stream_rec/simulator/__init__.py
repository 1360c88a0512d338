"""A seeded click stream: the events of visitors, and their delivery (late, twice, broken).

Imports nothing heavy: each part is imported where it is used. Knows nothing of services and settings.
"""
