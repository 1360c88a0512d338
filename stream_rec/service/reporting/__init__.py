"""What people and programs read of a service: the status file, lines in the log, the summary at the end.

Never imports `service.running`: reports are made from what it is given, and do not know who asks for them.
"""
