"""Results → text and figures."""
