"""A run's files on disk: images and tables, under safe names, whole or not at all."""
