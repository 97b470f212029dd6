"""Networks: encoders, decoder, depth and pose, and their weights."""
