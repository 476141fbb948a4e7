"""Requests to a W&B server: keys, connections, patience, downloads."""
