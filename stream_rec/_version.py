"""The version, and nothing else: a module that every other one may import.

The build reads it from here too. Asking the installed metadata instead costs milliseconds at each start, and is wrong
in a tree that was never installed.
"""

__all__ = ["__version__"]

__version__ = "0.2.0"
