"""Checks that every chip and every learning rule should pass, those of one's own too.

Each check is a function that raises AssertionError with what it found. With pytest::

    from harness.testing import CHIP_CHECKS

    @pytest.mark.parametrize("check", CHIP_CHECKS)
    def test_my_chip(check):
        check(MyChip)  # or any function without arguments that returns a new chip

and without it, ``check_chip(MyChip)`` makes all of them. A check that a chip's capabilities
(`harness.measurement.Capabilities`) rule out, such as clamping, asks for nothing of it. Voltages are compared within
the tolerance that the chip states of itself.
"""

from harness.testing.chips import CHIP_CHECKS, check_chip
from harness.testing.rules import check_rule

__all__ = ["CHIP_CHECKS", "check_chip", "check_rule"]
