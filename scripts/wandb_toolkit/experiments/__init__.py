"""From findings to what to try next."""
