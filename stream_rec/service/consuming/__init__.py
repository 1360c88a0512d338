"""Records in: partitions merged by time, batches decoded, recovery by reading the log again."""
