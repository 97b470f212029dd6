"""The page at the end of a training of both stages: curves, pictures and numbers."""
