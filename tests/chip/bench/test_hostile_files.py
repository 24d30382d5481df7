"""Profiles and calibrations from strangers: whatever is in them, they are read or refused in a sentence."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from harness.chip.bench.calibration import read_calibration
from harness.chip.bench.profile import load_profile, packaged_profiles, profile_text
from harness.errors import BoardError, ExperimentError
from tests.campaigns.mutation import damage

CALIBRATION = f"""
date = {datetime.now(UTC).isoformat(timespec="seconds")}
board = "Lab,Board,7,1.0"

[input]
against = "a meter"
gain = [1.01, 0.99]
offset = ["1 mV", "-2 mV"]
residual = ["0.1 mV", "0.1 mV"]

[output]
against = "the inputs"
gain = [1.0]
offset = [0.0]
residual = [0.0]

[settling]
time_constant = "1 ms"
settle = "7 ms"
within = "1 mV"

[twins]
mismatch = ["0.2 mV"]
"""
TEXTS = {name: profile_text(name) for name in packaged_profiles()} | {"calibration": CALIBRATION}
READERS: dict[str, Callable[[Path], object]] = {"calibration": read_calibration}


def read(name: str, path: Path) -> str:
    """Read a file, and return what is said of it."""
    try:
        READERS.get(name, lambda given: load_profile(str(given)))(path)
    except (ExperimentError, BoardError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_as_it_is_can_be_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text(TEXTS[name])
    assert read(name, path) == ""


@pytest.mark.parametrize("name", TEXTS)
def test_whatever_has_happened_to_a_file_is_a_sentence(name: str, tmp_path: Path) -> None:
    path, said = tmp_path / "file.toml", set[str]()
    for seed in range(150):
        ways = damage(np.random.default_rng([seed, 15]), path.name, TEXTS[name].encode())
        path.write_bytes(ways[-1][1])
        told = read(name, path)
        assert not told or str(path) in told or "profile" in told, (seed, told)
        said.add(told)
    assert len(said) > 50, "most of the damage is noticed"


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "key 'name' is missing"),
    "a byte order mark": (b'\xef\xbb\xbfname = "x"', "."),
    "no text": (b"\xff\xfe\x00n", "UTF-8"),
    "zeros": (bytes(100), "."),
    "a deep list": (b"name = " + b"[" * 5000 + b"]" * 5000, "."),
    "a table twice": (b'name = "x"\n[limits]\nv_max = 1\n[limits]\nv_max = 2', "twice|Cannot declare"),
    "a key twice": (b'name = "x"\nname = "y"\n[limits]\nv_max = 1', "."),
    "no number": (b'name = "x"\n[limits]\nv_max = nan', r"limits\.v_max: nan V is not finite"),
    "no limit": (b'name = "x"\n[limits]\nv_max = inf', r"limits\.v_max: inf V is not finite"),
    "a limit of nothing": (b'name = "x"\n[limits]\nv_max = 0', r"limits\.v_max = 0: must be above 0 V"),
    "a truth": (b'name = "x"\n[limits]\nv_max = true', r"limits\.v_max: True is no quantity"),
    "another unit": (b'name = "x"\n[limits]\nv_max = "1 A"', r"limits\.v_max: '1 A' should be in V"),
    "a date": (b'name = "x"\n[limits]\nv_max = 2026-01-01', r"limits\.v_max"),
    "a huge number": (b'name = "x"\n[limits]\nv_max = 1' + b"0" * 400, "."),
    "a path for a name": (b'name = "../../etc/passwd"\n[limits]\nv_max = 1', "name = '../../etc/passwd'"),
    "a text for a section": (b'name = "x"\nlimits = "1 V"', "limits = '1 V'"),
    "a list of sections": (b'name = "x"\n[[limits]]\nv_max = 1', "limits = "),
    "three channels of an output": (
        b'name = "x"\n[limits]\nv_max = 1\n[channels]\noutputs = { y0 = [1, 2, 3] }', r"channels\.outputs"
    ),
    "no channel": (b'name = "x"\n[limits]\nv_max = 1\n[channels]\ninputs = { x0 = 1.5 }', "channels.inputs.x0 = 1.5"),
    "more retries than sense": (b'name = "x"\n[limits]\nv_max = 1\n[timing]\nretries = 1000000', "at most 100|retries"),
    "a wait of days": (b'name = "x"\n[limits]\nv_max = 1\n[timing]\ntimeout = "100 ks"', r"timing\.timeout"),
    "another language": (b'name = "x"\n[identity]\nprotocol = "arc3"\n[limits]\nv_max = 1', "did you mean 'arc2'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_profile_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    content, said = HOSTILE[kind]
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ExperimentError, match=said) as error:
        load_profile(str(path))
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to itself", "nothing", "9 GB"])
def test_what_is_no_file_is_no_profile(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "link to itself":
            path.symlink_to(path)
        case "9 GB":
            path.touch()
            os.truncate(path, 9_000_000_000)
    with pytest.raises(ExperimentError, match=r"mine\.toml"):
        load_profile(str(path))
