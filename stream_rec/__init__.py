"""The public names of stream-rec, and nothing else.

`__version__` is written here, and the build reads it from here: asking the installed metadata costs
milliseconds at every start, and is wrong in a tree that was never installed.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
