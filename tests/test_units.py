"""Units: what people write, what SPICE reads, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError, UnitError
from harness.units import parse, show, spice_number

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 fS", 1e-15),
        ("2pS", 2e-12),
        ("3 nS", 3e-9),
        ("4.7uS", 4.7e-6),
        ("4.7 µS", 4.7e-6),
        ("5 mS", 5e-3),
        ("6 S", 6.0),
        ("6", 6.0),
        ("4.7 kS", 4700.0),
        ("8 MS", 8e6),
        ("9GS", 9e9),
        ("-.5 mS", -5e-4),
        ("+2.e-3 kS", 2.0),
        ("  1E3  ", 1000.0),
    ],
)
def test_every_prefix_is_read(text: str, value: float) -> None:
    assert parse(text, "S") == pytest.approx(value, rel=1e-15)


def test_mega_and_milli_differ_by_case_unlike_in_spice() -> None:
    assert parse("1 MV", "V") == 1e6
    assert parse("1 mV", "V") == 1e-3


def test_numbers_are_in_the_unit_already() -> None:
    assert parse(3, "S") == 3.0
    assert isinstance(parse(3, "S"), float)
    assert parse(2.5e-6, "S") == 2.5e-6
    assert parse(np.float64(0.1), "V") == 0.1


def test_without_a_unit_only_prefixes_are_read() -> None:
    assert parse("10k", "") == 1e4
    with pytest.raises(
        UnitError, match=r"'10 V' should be in no unit; known prefixes are f, p, n, u, µ, μ, m, k, M, G, T"
    ):
        parse("10 V", "")


@pytest.mark.parametrize("text", ["10 V", "10 A", "10 s", "10 uSS", "10 Ω", "10 u S V"])
def test_another_unit_is_refused_by_name(text: str) -> None:
    with pytest.raises(UnitError, match=f"{text!r} should be in S; known prefixes are f, p, n"):
        parse(text, "S")


@pytest.mark.parametrize("prefix", ["f", "p", "n", "u", "µ", "m", "k", "M", "G", "T"])
@pytest.mark.parametrize("unit", ["S", "V", "A", "s", "Ohm", "F"])
def test_a_prefix_without_its_unit_is_refused(prefix: str, unit: str) -> None:
    for text in (f"1 {prefix}", f"1{prefix}", f" 1 {prefix} "):
        with pytest.raises(UnitError, match=f"'{text}' has a prefix but no unit; write '1 {prefix}{unit}'"):
            parse(text, unit)


@pytest.mark.parametrize("text", ["1 meg", "1 K", "1 x", "1 Ms", "1 da", "1 %", "1 2", "1e", "0x10"])
def test_an_unknown_prefix_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="should be in S; known prefixes are"):
        parse(text, "S")


@pytest.mark.parametrize("value", ["", "S", "kS", "nan", "inf", "--1", ".", "e3", "µ1"])
def test_text_without_a_number_is_refused(value: str) -> None:
    with pytest.raises(UnitError, match=r"is no quantity; write a number or a text such as '10 uS'"):
        parse(value, "S")


@pytest.mark.parametrize("value", [True, False, None, [1.0], {"a": 1}, 1j, b"1"])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(UnitError, match=r"is no quantity; write a number or a text such as '10 uV'"):
        parse(value, "V")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan"), "1e400", "-1e308 kV"])
def test_what_is_not_finite_is_refused(value: object) -> None:
    with pytest.raises(UnitError, match=r"^(nan|-?inf) V is not finite$"):
        parse(value, "V")


@pytest.mark.parametrize("text", ["10 kOhm", "10kΩ", "10 k\N{OHM SIGN}", "1e4"])
@pytest.mark.parametrize("unit", ["Ohm", "Ω"])
def test_ohms_are_written_in_words_and_signs(text: str, unit: str) -> None:
    assert parse(text, unit) == 10e3


def test_a_unit_error_is_a_value_error_of_this_package() -> None:
    assert issubclass(UnitError, HarnessError)
    assert issubclass(UnitError, ValueError)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.7e-5, "47 µS"),
        (1e-5, "10 µS"),
        (10 * 1e-6, "10 µS"),
        (-2.5e-3, "-2.5 mS"),
        (0.0, "0 S"),
        (1.0, "1 S"),
        (1e3, "1 kS"),
        (1e6, "1 MS"),
        (2e9, "2 GS"),
        (3e-9, "3 nS"),
        (5e-12, "5 pS"),
        (5e-15, "5 fS"),
        (5e-18, "5e-18 S"),
        (2.03e12, "2.03 TS"),
        (2.03e15, "2.03e+15 S"),
        (999.6, "1 kS"),
        (math.inf, "inf S"),
        (math.nan, "nan S"),
        (1 / 3, "333 mS"),
    ],
)
def test_quantities_are_shown_as_people_write_them(value: float, text: str) -> None:
    assert show(value, "S") == text


@given(value=st.floats(1e-14, 1e12), sign=st.sampled_from([1, -1]), digits=st.integers(1, 9))
def test_what_is_shown_reads_back_within_its_rounding(value: float, sign: int, digits: int) -> None:
    assert parse(show(sign * value, "S", digits), "S") == pytest.approx(sign * value, rel=0.51 * 10 ** (1 - digits))


@given(FINITE)
def test_numbers_for_spice_read_back_as_the_same_float(value: float) -> None:
    text = spice_number(value)
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)


@given(FINITE)
def test_numbers_for_spice_are_digits_and_exponents_only(value: float) -> None:
    """No suffix that SPICE could take for a prefix, and no ``np.float64(…)``."""
    for text in (spice_number(value), spice_number(np.float64(value))):
        assert set(text) <= set("0123456789.e+-")
        assert text == repr(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("inf")])
def test_spice_gets_no_number_that_is_not_finite(value: float) -> None:
    with pytest.raises(UnitError, match=r"^(nan|-?inf) is not finite$"):
        spice_number(value)
