"""The chip that ngspice simulates: in this process, in worker processes, on a cluster."""
