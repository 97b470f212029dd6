"""How wrong a depth map is: sums and counts, alignment, regions, protocols."""
