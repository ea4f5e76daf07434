"""DRAM bank by bank: constraints of the standards, address maps, controller, simulation, checks."""
