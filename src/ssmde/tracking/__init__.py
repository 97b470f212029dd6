"""What `ssmde track` is made of: COLMAP, the camera it finds, the parts of a film."""
