"""The event engine: costs of ops turned into work that engines share, simulated over time."""
