"""Layouts of crossbars: drawn, checked against their technology's rules, and compared with the exported netlist."""
