"""The law of a diode, and the functions in it, in arithmetic that a compiler does on several numbers at once.

A library's exponential is a call for each number. These are products and sums, which loops of
`harness.chip.nodal.loops.kernel` do on several numbers in one instruction. No number's result depends on the numbers
beside it.
"""

import math

import numpy as np

from harness.devices.diode import GMIN

_PER_LN2 = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 21 zeros at its end
_WHOLE = 6755399441055744.0  # 1.5 · 2⁵²: the sum with it is a whole number, in the last bits of a float
_BIAS, _DIGITS = 1023, 52  # of the exponent, and of the mantissa, of a float
_ROOT_HALF = np.int64(0x3FE6A09E00000000)  # the bits of √½, but for the last ones
_KNEE, _LARGEST = -3.0, 600.0
_AT_KNEE = math.exp(_KNEE)


def exponential(x: float) -> float:
    """Return eˣ for x between −700 and 700, to a unit in the last place.

    x is k ln 2 + r with |r| < 0.35; eʳ is a Taylor series, whose first term left out is below 4e-18.
    """
    shifted = x * _PER_LN2 + _WHOLE
    k = shifted - _WHOLE
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    two, four = r * r, (r * r) * (r * r)
    low = (0.5 + r * (1 / 6)) + two * (1 / 24 + r * (1 / 120))
    middle = (1 / 720 + r * (1 / 5040)) + two * (1 / 40320 + r * (1 / 362880))
    high = (1 / 3628800 + r * (1 / 39916800)) + two * (1 / 479001600 + r * (1 / 6227020800))
    power = np.int64((np.float64(shifted).view(np.int64) << _DIGITS) + (np.int64(_BIAS) << _DIGITS))
    return (1 + (r + two * (low + four * (middle + four * high)))) * power.view(np.float64)


def logarithm(x: float) -> float:
    """Return ln x for a normal x > 0, to a unit in the last place; of other numbers, anything.

    x is 2ᵏ (1 + f) with 1 + f between √½ and √2. With s = f / (2 + f), ln (1 + f) = f − f²/2 + s (f²/2 + R), R a
    polynomial in s² (fdlibm's ``e_log.c``).
    """
    bits = np.float64(x).view(np.int64)
    k = (bits - _ROOT_HALF) >> _DIGITS
    f = np.int64(bits - (k << _DIGITS)).view(np.float64) - 1
    s = f / (2 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = 2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)
    rest = even + z * (6.666666666666735130e-01 + w * odd)
    return k * _LN2_HIGH - ((0.5 * f * f - (s * (0.5 * f * f + rest) + k * _LN2_LOW)) - f)


def conducted(volts: float, saturation: float, scale: float) -> tuple[float, float]:
    """Return current (A) and slope (S) of `harness.devices.diode.current_and_slope`, of one junction."""
    exponent = volts / scale
    above = exponent if exponent > _KNEE else _KNEE
    grown = exponential(above if above < _LARGEST else _LARGEST)
    ratio = (3 / math.e) / (exponent if exponent < _KNEE else _KNEE)  # both laws at once, as there
    shelf = ratio * ratio * ratio
    current = saturation * (grown - shelf - (1 + _AT_KNEE)) + GMIN * volts
    return current, saturation / scale * (grown + math.e * shelf * ratio - _AT_KNEE) + GMIN
