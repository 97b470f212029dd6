"""From scene units to metres: what a known height, motion or distance says about the scale."""
