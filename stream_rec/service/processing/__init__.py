"""What is decided about a batch: which records are applied, rejected, answered."""
