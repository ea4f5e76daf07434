"""Software: ops over shapes, the graph of a model's phase, and where models come from."""
