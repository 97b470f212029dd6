"""Pages about a run: curves, tables and pictures as HTML that needs no network."""
