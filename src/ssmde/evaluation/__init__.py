"""What an evaluation found, and how it is told."""
