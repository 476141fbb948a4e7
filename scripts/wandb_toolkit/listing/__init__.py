"""The tables and JSON shapes of the list commands."""
