"""Short forms of the campaigns of `tests.campaigns`, and what their verdicts find."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def campaign(folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns", "--json", "--failures", str(folder), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["passed"] == (done.returncode == 0), done.stderr
    return found


def test_damage_and_kills_end_in_sentences_and_change_no_bit(tmp_path: Path) -> None:
    damaged = ("edges", "foundry", "data", "pulses", "run-manifest", "run-checkpoint")
    killed = ("export", "conductances import", "regress update")
    kinds = (*damaged, *(f"kills: {command}" for command in killed), "randomly: training")
    found = campaign(tmp_path, "--cases", "5", "--step", "17", "--kills", "4", *kinds)
    assert found["passed"], found
    cases = {kind: row["cases"] for kind, row in found["kinds"].items()}
    assert set(cases) == set(kinds)
    assert {kind: cases[kind] for kind in damaged} == dict.fromkeys(damaged, 5)
    assert cases["randomly: training"] == 4


def test_a_board_that_loses_its_host_its_power_or_its_cable_counts_every_pulse(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--kills", "2", "bench")
    assert found["passed"], found
    assert {kind: row["cases"] for kind, row in found["kinds"].items()} == {
        f"bench: {kind}": 2 for kind in ("host", "board", "cable")
    }


@pytest.mark.ngspice
def test_start_up_files_have_no_influence_on_training(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--step", "100", "startup: working directory")
    assert found["passed"], found
    assert found["cases"] == 1


WRONG = {
    "traceback": "raise KeyError('x')",
    "silent": "sys.exit(1)",
    "crash": "os.kill(os.getpid(), signal.SIGSEGV)",
    "executed": "open('EXECUTED', 'w')",
    "warning": "warnings.warn('odd', UserWarning)",
    "words": "sys.exit(\"harness: 'NoneType' is no list\")",
    "processes": "os.fork() or time.sleep(60)",
}
"""What a command could do, by what a campaign has to call it."""


def test_verdicts_find_what_is_wrong(tmp_path: Path) -> None:
    """In commands that do one wrong thing before they begin."""
    code = f"""if True:
        import json, os, signal, sys, time, warnings
        from pathlib import Path
        import harness.__main__, harness.cli.main  # else each command imports them anew
        from tests.campaigns import children, verdicts
        children.GRACE = 2.0
        found = {{}}
        for what, code in {WRONG!r}.items():
            folder = Path({str(tmp_path)!r}) / what
            folder.mkdir()
            ended = children.run(["--version"], folder, before=lambda: exec(code))
            found[what] = [fault.what for fault in verdicts.faults_of(ended, folder)]
        for what, handler in {{"hang": signal.SIG_IGN, "slow": signal.SIG_DFL}}.items():
            def before():
                signal.signal(signal.SIGINT, handler)
                Path("ready").touch()
                time.sleep(60)
            folder = Path({str(tmp_path)!r}) / what
            folder.mkdir()
            child = children.start(["--version"], folder, before=before, limits=children.Limits(0.0, 0.0))
            while not (folder / "ready").exists():
                time.sleep(0.01)
            ended = child.wait()
            found[what] = [ended.interrupted, ended.hung]
        print(json.dumps(found))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected: dict[str, Any] = {what: [what] for what in WRONG}
    assert json.loads(done.stdout) == {**expected, "hang": [True, True], "slow": [True, False]}
