"""What users ask for: options checked once, a model run on a chip, a list of ops priced."""
