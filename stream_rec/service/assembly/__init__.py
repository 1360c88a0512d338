"""Settings in, objects out: the only room of the service that sees `Settings`.

Each part is imported where it is used: importing this package compiles nothing.
"""
