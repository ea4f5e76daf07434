"""What activity counts cost: energy per action, idle power, heat, area and price."""
