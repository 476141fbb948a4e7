"""What could have made runs go wrong that used to go well: their records side by side, and where the curves part."""
