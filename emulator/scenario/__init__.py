"""Scenarios: their file, their steps, their verdicts, their reports."""
