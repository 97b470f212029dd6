"""Frames on disk and frames that are drawn; samples cut from them."""
