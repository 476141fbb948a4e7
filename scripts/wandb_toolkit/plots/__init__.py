"""What a figure shows, before it is drawn: series, groups, labels, smoothing; and the workers that draw."""
