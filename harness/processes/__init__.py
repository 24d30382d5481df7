"""Worker processes: one pool for everything that runs beside the process that asked for it."""
