"""The laboratory: how good the recommendations are on a log, and which parameters are best for it."""
