"""The only home of matplotlib: charts to figures, figures to files."""
