"""Ended runs looked at again as a watcher would have seen them: when could they have been stopped, and was it right."""
