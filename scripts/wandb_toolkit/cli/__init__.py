"""The edge of every command: shared flags, the error boundary, exit codes, what reaches stdout."""
