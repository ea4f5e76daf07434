"""How long a mapped op takes on each component of a chip, one component per file."""
