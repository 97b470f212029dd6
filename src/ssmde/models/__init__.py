"""Networks: encoders, decoders, depth and pose, and their weights."""
