"""Counters, histograms, logs and traces of a service. Never imports `service.running`."""
