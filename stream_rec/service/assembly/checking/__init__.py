"""What `check` finds beside verdicts: what a source looks like, and the command that would read it."""
