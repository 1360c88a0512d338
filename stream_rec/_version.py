"""The version, and nothing else: a module that every other one may import.

The build reads it from here too. Reading the installed metadata instead would take milliseconds at each start, and be
wrong in a tree that was never installed.
"""

__all__ = ["__version__"]

__version__ = "0.2.0"
