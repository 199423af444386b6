"""How the laboratory does a standard thing to a model: ask it, train it on sentences and ask again, keep what came of it."""
