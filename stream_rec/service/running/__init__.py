"""Threads and lives: what starts, runs, fails, is started again and stops."""
