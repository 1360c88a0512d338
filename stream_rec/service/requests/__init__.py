"""Requests and events that do not arrive as records of the log: from other threads into the engine's thread."""
