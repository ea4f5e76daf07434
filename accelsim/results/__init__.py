"""What a simulation says: counts, costs and totals, as JSON, tables and timelines."""
