"""Several runs side by side: who leads, how sure that is, and which settings go with the result."""
