"""The statement about both sides: which tiles of an op run where, and in which order."""
