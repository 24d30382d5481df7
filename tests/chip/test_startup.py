"""Nothing decides what ngspice does but this package: no file, no variable, no locale, no other thread."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ngspice, pytest.mark.release]

SWEEP = """
from harness.chip.ngspice.session import BatchDeck, open_session
LINES = (
    "* a diode and 1 GOhm", ".options reltol=1e-6 vntol=1e-9 abstol=1e-15", "vpoint p 0 0", "rpoint p 0 1e9",
    ".model dm D(Is=1e-6 N=2)", "e1 s 0 p 0 1.5", "r1 s a 1e3", "d1 a 0 dm", "r2 s b 1e9", "r3 b 0 1e9", ".end",
)
DECK = BatchDeck(LINES, "vpoint", 3, ("v(a)", "v(b)"))
def swept():
    return open_session().run_batch(DECK).tobytes().hex()
"""
PYSPICE = """
from PySpice.Spice.NgSpice.Shared import NgSpiceShared
NgSpiceShared.LIBRARY_PATH = {library!r}
NgSpiceShared.new_instance()
"""
FILES = (".spiceinit", "spice.rc", "spinit", "scripts/spinit", "tclspinit", "dc", "op", "rusage", "version", "remcirc")
VARIABLES = (
    "HOME", "USERPROFILE", "SPICE_SCRIPTS", "SPICE_LIB_DIR", "SPICE_USERINIT_DIR", "SPICE_EXEC_DIR", "SPICE_PATH",
    "SPICE_NEWS", "SPICE_HELP_DIR", "SPICE_HOST", "SPICE_EDITOR", "NGSPICE_INPUT_DIR", "PWD",
)  # fmt: skip


def hostile(folder: Path) -> Path:
    """A folder of start-up files, each of which leaves a mark of its own and changes voltages."""
    for name in FILES:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        mark = folder / f"mark-{name.replace('/', '-')}"
        file.write_text(f"shell touch {mark}\noption rshunt=1e12\noption gmin=1e-9\nalias dc echo no\n")
    return folder


def marks(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("mark-*"))


def python(code: str, cwd: Path, **variables: str) -> str:
    """What a process of its own prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path)), **variables}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sweep's bits in a folder of its own, without any variable of ngspice's."""
    return python(SWEEP + "print(swept())", tmp_path_factory.mktemp("quiet"))


def test_the_files_do_work_where_ngspice_is_opened_without_care(tmp_path: Path) -> None:
    """Else the tests below could not fail."""
    from harness.chip.ngspice.library import find_library

    here, scripts, library = (hostile(tmp_path / name) for name in ("here", "scripts", "library"))
    code = PYSPICE.format(library=find_library())
    python(code.replace("error", ""), here, SPICE_SCRIPTS=str(scripts), PYTHONWARNINGS="ignore")
    assert marks(here) == ["mark-.spiceinit"]
    assert marks(scripts) == ["mark-spinit"]
    python(code, here, SPICE_LIB_DIR=str(library), PYTHONWARNINGS="ignore")
    assert marks(library) == ["mark-scripts-spinit"]


@pytest.mark.parametrize("variable", ["", *VARIABLES])
def test_no_startup_file_is_read(variable: str, tmp_path: Path, expected: str) -> None:
    """Neither from the working directory nor from where a variable points; afterwards both are as they were."""
    here, named = hostile(tmp_path / "here"), hostile(tmp_path / "named")
    code = f"""
import os
before = dict(os.environ)
{SWEEP}
print(swept())
assert dict(os.environ) == before
assert os.path.samefile(os.getcwd(), {str(here)!r})
"""
    assert python(code, here, **({variable: str(named)} if variable else {})) == expected
    assert not marks(here)
    assert not marks(named)


def test_no_startup_file_is_read_when_variables_are_missing(tmp_path: Path, expected: str) -> None:
    here = hostile(tmp_path / "here")
    code = "import os\nfor name in ('HOME', 'PATH', 'TMPDIR', 'USER'):\n    os.environ.pop(name, None)\n"
    assert python(code + SWEEP + "print(swept())", here) == expected
    assert not marks(here)


@pytest.mark.parametrize("folder", ["/nowhere", "/proc", "", "relative"])
def test_no_folder_for_temporary_files_is_needed(folder: str, tmp_path: Path, expected: str) -> None:
    assert python(SWEEP + "print(swept())", tmp_path, TMPDIR=folder) == expected
    assert not list(tmp_path.iterdir())


def test_a_working_directory_that_was_deleted_will_do(tmp_path: Path, expected: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os\nos.rmdir({str(gone)!r})\n{SWEEP}\nprint(swept())"
    assert python(code, gone) == expected


def test_a_relative_path_of_the_library_holds(tmp_path: Path, expected: str) -> None:
    from harness.chip.ngspice.library import find_library

    maps = python(SWEEP + "swept()\nprint(open('/proc/self/maps').read())", tmp_path)
    library = next(line.split()[-1] for line in maps.splitlines() if Path(find_library()).name in line)
    (tmp_path / "{odd}").mkdir()
    (tmp_path / "{odd}" / "libngspice.so").symlink_to(library)
    assert python(SWEEP + "print(swept())", tmp_path, NGSPICE_LIBRARY_PATH="{odd}/libngspice.so") == expected


@pytest.mark.skipif(os.getuid() != 0, reason="only root can take another user id")
def test_a_user_id_without_an_entry_in_the_user_database(tmp_path: Path, expected: str) -> None:
    """ngspice would look its home directory up there, and follow a null pointer."""
    assert python("import os\nos.setresuid(123456, 0, 0)\n" + SWEEP + "print(swept())", tmp_path) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "xor", "--set", "training.epochs=1", "--run", "../run", "--workers", "2"],
        ["doctor"],
        ["verify", "package"],
    ],
    ids=lambda words: words[0],
)
def test_no_command_and_no_worker_reads_them(arguments: list[str], tmp_path: Path) -> None:
    here = hostile(tmp_path / "here")
    shutil.copytree(Path(__file__).parents[2] / "netlists" / "xor-ngspice", here / "package")
    environment = {**os.environ, "HOME": str(here), "SPICE_SCRIPTS": str(here)}
    command = [sys.executable, "-m", "harness", *arguments]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not marks(here)


LOCALES = {"tr_TR.UTF-8": "UTF-8", "de_DE": "ISO-8859-1"}


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locales of Turkish, whose small I has no dot, and German, whose decimals follow a comma."""
    if shutil.which("localedef") is None:
        pytest.skip("no localedef on this machine")
    folder = tmp_path_factory.mktemp("locales")
    for name, charmap in LOCALES.items():
        made = subprocess.run(
            ["localedef", "-i", name[:5], "-f", charmap, folder / name], capture_output=True, check=False
        )
        if not (folder / name / "LC_CTYPE").exists():  # newer ones leave an empty folder
            pytest.skip(f"localedef has no sources of {name} here (Debian's package locales): {made.stderr.decode()}")
    return folder


@pytest.mark.parametrize("name", LOCALES)
def test_every_locale_gives_the_same_bits_and_is_kept(name: str, locales: Path, tmp_path: Path, expected: str) -> None:
    code = f"""
import locale
locale.setlocale(locale.LC_ALL, "")
assert locale.setlocale(locale.LC_NUMERIC) == locale.setlocale(locale.LC_CTYPE) == {name!r}
assert locale.localeconv()["decimal_point"] == ","
{SWEEP}
print(swept())
assert locale.setlocale(locale.LC_NUMERIC) == locale.setlocale(locale.LC_CTYPE) == {name!r}
"""
    assert python(code, tmp_path, LC_ALL=name, LOCPATH=str(locales)) == expected


def test_an_exported_netlist_is_read_by_ngspice_in_turkish(locales: Path, tmp_path: Path) -> None:
    """Designers run ngspice itself: what it takes by name is in small letters."""
    ngspice = shutil.which("ngspice")
    if ngspice is None:
        pytest.skip("no ngspice command on this machine")
    from harness import Experiment

    experiment = Experiment.load("iris")
    (tmp_path / "deck.cir").write_text(experiment.netlist(experiment.circuit))
    said = []
    for name in ("C", "tr_TR.UTF-8"):
        environment = {**os.environ, "LC_ALL": name, "LOCPATH": str(locales)}
        done = subprocess.run(
            [ngspice, "-b", "deck.cir"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append([line for line in done.stdout.splitlines() if "=" in line])
    assert said[0] == said[1]


def test_threads_share_ngspice(tmp_path: Path, expected: str) -> None:
    code = f"""
{SWEEP}
from threading import Thread
found = []
threads = [Thread(target=lambda: found.extend(swept() for _ in range(20))) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 80
print(*set(found))
"""
    assert python(code, tmp_path) == expected


def test_chips_in_threads_read_what_they_read_alone() -> None:
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
    from harness.measurement import Drive
    from tests.conftest import kendall, random_batch

    circuit = kendall([4])
    drives = [[Drive(random_batch(circuit, 5, seed).inputs)] for seed in range(4)]
    kinds = [NgspiceChip, FullNetlistChip]
    alone = [[kind(circuit).measure(drive)[0].nodes for drive in drives] for kind in kinds]
    with ThreadPoolExecutor(8) as threads:
        together = [[threads.submit(kind(circuit).measure, drive) for drive in drives] for kind in kinds]
    for one, two in zip(alone, together, strict=True):
        for nodes, done in zip(one, two, strict=True):
            np.testing.assert_array_equal(nodes, done.result()[0].nodes)


def test_a_forked_process_has_an_ngspice_too(tmp_path: Path, expected: str) -> None:
    code = f"""
import os, warnings
{SWEEP}
first = swept()
warnings.simplefilter("ignore")  # Python's advice against forks beside threads
if os.fork() == 0:
    print(swept(), flush=True)
    os._exit(0)
os.wait()
"""
    assert python(code, tmp_path) == expected


@pytest.mark.parametrize("opened", ["NgSpiceShared.new_instance()", "NgSpiceShared()", "NgSpiceShared(ngspice_id=0)"])
def test_a_session_of_pyspices_own_is_refused_in_a_sentence(opened: str, tmp_path: Path) -> None:
    from harness.chip.ngspice.library import find_library

    code = PYSPICE.format(library=find_library()).replace("NgSpiceShared.new_instance()", f"kept = {opened}")
    code = f"""
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    {code.strip().replace(chr(10), chr(10) + "    ")}
from harness.chip.ngspice.session import open_session
from harness.errors import ChipError
for _ in range(2):
    try:
        open_session()
    except ChipError as error:
        print(error)
"""
    said = python(code, tmp_path).splitlines()
    assert len(said) == 2
    assert all("ngspice is already open in this process, by a PySpice session of its own" in line for line in said)


def test_worker_processes_do_beside_a_session_of_pyspices_own(tmp_path: Path) -> None:
    from harness.chip.ngspice.library import find_library

    code = f"""
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    {PYSPICE.format(library=find_library()).strip().replace(chr(10), chr(10) + "    ")}
from harness import Experiment
from harness.experiment.chip import SimulatorChoice
from harness.measurement import Drive
experiment = Experiment.load("iris")
with experiment.open_chip(SimulatorChoice(2)) as chip:
    print(len(chip.measure([Drive(experiment.data.train.batch(slice(40)).inputs)])[0].outputs))
"""
    assert python(code, tmp_path) == "40\n"


@pytest.mark.parametrize(
    ("option", "seen"),
    [("rshunt=1e6", True), ("rshunt=1e12", True), ("rshunt=1e15", True), ("gmin=2e-12", False), ("temp=28", False)],
)
def test_doctor_sees_options_that_nobody_asked_for(option: str, seen: bool, tmp_path: Path) -> None:
    """As a start-up file would set them, were one read; gmin and temperatures stand in every deck."""
    for name in ("spinit", ".spiceinit"):
        (tmp_path / name).write_text(f"* stray\noption {option}\n")
    code = f"""
from pathlib import Path
from harness.chip.ngspice import isolation
isolation._STARTUP = Path({str(tmp_path)!r})
from harness.studies.doctor import examine
print([check.name for check in examine()[1] if not check.passed])
"""
    failed = python(code, tmp_path)
    assert ("'ngspice: 1 GΩ and a blocking diode against their divider'" in failed) == seen
    assert seen or failed == "[]\n"
