"""Records in: decoded, merged by time, cut into batches; recovery by reading the log again."""
