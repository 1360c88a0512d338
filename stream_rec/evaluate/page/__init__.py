"""What `evaluate` and `tune` found as a page of one file, which asks nothing of outside."""
