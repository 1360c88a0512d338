"""What people and programs read of a service: the status file, lines in the log, the summary at the end.

Never imports `service.running`: what is watched does not know its watcher.
"""
