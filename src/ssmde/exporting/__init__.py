"""From a predictor to a file of another runtime: the graph, the formats, the check."""
