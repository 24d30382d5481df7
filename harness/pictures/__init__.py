"""Pictures as bytes: of runs, circuits, devices, sweeps and transients. Matplotlib takes a second to import."""
