"""A seeded click stream: what visitors do, and how their events are delivered (late, twice, broken).

Imports nothing heavy: each part is imported where it is used. Knows nothing of services and settings.
"""
