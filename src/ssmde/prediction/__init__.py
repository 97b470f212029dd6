"""A trained network as a function from image to depth."""
