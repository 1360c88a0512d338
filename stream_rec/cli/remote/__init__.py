"""What the commands share that call a running service: its address, its key, its answers as text.

Imports nothing that compiles, and no server: `ask` must answer at once, also where only the client is used.
"""
