"""Training loops: each a `for` loop that returns what it trained and a trace, and raises `Diverged`."""
