"""Paths of a camera: from predicted motion, measured against true ones, and drawn."""
