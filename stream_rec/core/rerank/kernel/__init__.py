"""The compiled loops of learned re-ranking."""
