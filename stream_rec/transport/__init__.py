"""Where records come from and answers go to: files and pipes, a double in memory, brokers.

Each is a module of its own; `base` says what they have in common. Nothing here knows what a session
is, and the core knows nothing of what is here.
"""
