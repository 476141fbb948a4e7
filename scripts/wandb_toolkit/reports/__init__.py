"""Runs to a report: read, examine, compare, put into words."""
