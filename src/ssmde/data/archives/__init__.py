"""Official archives, read as they unpack: one file each, which gives `ArchiveScene` records."""
