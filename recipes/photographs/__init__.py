"""Single photos of many different places, with exact depth: what is in them, and their light."""
