"""Published tables: methods measured alike, from weights or files, beside published figures."""
