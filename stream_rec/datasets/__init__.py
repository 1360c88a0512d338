"""Logs to try stream-rec with: readers of public logs, and the bundled sample.

The core never imports it. Importing this package reads no file: each part is imported where it is used.
"""
