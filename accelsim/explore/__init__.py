"""Many runs: design spaces, sweeps and Pareto fronts."""
