"""The HTTP API, the dashboard, and figures for Prometheus."""
