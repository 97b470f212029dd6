"""Where pseudo-depth comes from: networks of others, networks trained here, existing files."""
