"""What can be wrong with a data folder: one file for each kind of check."""
