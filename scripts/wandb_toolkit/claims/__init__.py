"""Numbers in texts, held to the runs that they are about: found, judged, and marked."""
