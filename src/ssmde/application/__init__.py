"""Parts of the web page: its visitors and their files, what is computed, and how it looks."""
