"""Compiled loops of the evaluation: judging answers, and the popularity that models are compared with."""
