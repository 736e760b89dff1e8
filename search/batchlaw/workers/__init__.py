"""Processes that claim slots, run trials and record results."""
