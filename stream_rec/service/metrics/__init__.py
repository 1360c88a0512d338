"""What is counted, timed, logged and traced. Never imports `service.running`."""
