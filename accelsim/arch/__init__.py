"""Hardware: what a chip, memory or system is made of, where each number comes from, its peaks."""
