"""Models of nonlinear devices: plain parameters and the law that the simulator solves."""

from harness.devices.diode import DiodeModel

__all__ = ["DiodeModel"]
