"""Parts of the multi-view mask filter: what the views say, regions, threshold, learned scale."""
