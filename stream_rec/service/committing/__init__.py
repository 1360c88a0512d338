"""What is made durable: answers, dead letters, offsets, snapshots."""
