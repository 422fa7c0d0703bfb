"""One file a question: each prints a table of ratios against a peer or a limit, and ends with one JSON line."""
