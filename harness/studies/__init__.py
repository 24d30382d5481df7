"""Studies of an experiment: checks, audits, benchmarks, sweeps and regression suites."""
