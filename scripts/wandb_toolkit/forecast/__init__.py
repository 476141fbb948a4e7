"""Where running runs are heading: their final level with an 80% band, when they end, whether they will be the best."""
