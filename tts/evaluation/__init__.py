"""Judging speech: the recogniser and the metrics."""
