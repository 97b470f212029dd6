"""What the demo draws, how it trains, and the page it writes."""
