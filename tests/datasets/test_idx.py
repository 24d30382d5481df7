"""Image sets from IDX files: reading them, where they are looked for, every refusal, and the download."""

import gzip
import json
import os
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.cli.main import main
from harness.datasets import IMAGE_SETS, ImageSet, load_images, split
from harness.datasets.idx import Bytes, IdxFile, read_idx
from harness.errors import DataError

TRAIN, TEST = 20, 10
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = NAMES


def written(values: Bytes) -> bytes:
    """An IDX file, as its format is described."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def contents(seed: int = 0) -> dict[str, bytes]:
    """The four files of a small set: images of 4×3 pixels, five classes of equal size."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (rows, 4, 3), dtype=np.uint8) for rows in (TRAIN, TEST)]
    labels = [(np.arange(rows) % 5).astype(np.uint8) for rows in (TRAIN, TEST)]
    return dict(zip(NAMES, map(written, (images[0], labels[0], images[1], labels[1])), strict=True))


def described(files: dict[str, bytes], name: str = "tiny", mirrors: tuple[str, ...] = ()) -> ImageSet:
    shapes = ((TRAIN, 4, 3), (TRAIN,), (TEST, 4, 3), (TEST,))
    parts = [IdxFile(n, shape, sha256(files[n]).hexdigest()) for n, shape in zip(NAMES, shapes, strict=True)]
    return ImageSet(name, (parts[0], parts[1], parts[2], parts[3]), ("a", "b", "c", "d", "e"), mirrors)


def published(source: ImageSet, packages: dict[str, bytes]) -> ImageSet:
    """The same set where only the hashes of the gzip files are known."""
    first, second, third, fourth = (
        replace(file, sha256=None, packed_sha256=sha256(packages[file.name]).hexdigest()) for file in source.files
    )
    return replace(source, files=(first, second, third, fourth), balanced=True)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data folder is named, the cache is empty, and a proxy is not asked for this machine."""
    monkeypatch.setenv("HARNESS_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the four files of the small set."""
    made = tmp_path / "data"
    made.mkdir()
    for name, content in contents().items():
        (made / name).write_bytes(content)
    monkeypatch.setenv("HARNESS_DATA", str(made))
    return made


TINY = described(contents())


@given(values=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
@settings(deadline=None, max_examples=80)
def test_what_is_written_is_read(values: Bytes) -> None:
    content = written(values)
    wanted = IdxFile("file", values.shape, sha256(content).hexdigest())
    for raw in (content, gzip.compress(content)):
        np.testing.assert_array_equal(read_idx(raw, wanted, "file", {}), values)
        np.testing.assert_array_equal(read_idx(raw, replace(wanted, sha256=None), "file", {}), values)


@given(data=st.data())
@settings(deadline=None, max_examples=80)
def test_no_altered_byte_goes_unnoticed(data: st.DataObject) -> None:
    content = bytearray(contents()[IMAGES])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DataError):
        read_idx(bytes(content), TINY.files[0], "file", {})


def test_training_rows_come_first_and_test_rows_last(folder: Path) -> None:
    table = load_images(TINY)
    files = contents()
    assert table.features.dtype == np.uint8
    assert table.features.tobytes() == files[IMAGES][16:] + files[TEST_IMAGES][16:]
    assert table.labels.tolist() == list(files[LABELS][8:] + files[TEST_LABELS][8:])
    found = split(table, held_out=None, seed=0, levels=(0.0, 4.0))
    assert (len(found.train), len(found.test), found.channels) == (TRAIN, TEST, 12)


def test_files_may_be_packed_and_lie_in_a_subfolder(folder: Path) -> None:
    (folder / "tiny").mkdir()
    plain = load_images(TINY)
    for name in (IMAGES, TEST_LABELS):
        (folder / "tiny" / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).write_bytes(b"of another set")
    np.testing.assert_array_equal(load_images(TINY).features, plain.features)
    (folder / LABELS).rename(folder / f"{LABELS}.gz")  # a browser unpacked it and kept the name
    np.testing.assert_array_equal(load_images(TINY).labels, plain.labels)


def test_a_missing_file_is_named_with_its_folder_and_nothing_is_downloaded(folder: Path) -> None:
    (folder / LABELS).unlink()
    (folder / TEST_IMAGES).unlink()
    with pytest.raises(
        DataError,
        match=rf"^data set tiny: .*/data lacks {LABELS}, {TEST_IMAGES} \(plain or \.gz, there or in its subfolder "
        r"tiny\); put them there, or name another folder with --data-dir or HARNESS_DATA$",
    ):
        load_images(replace(TINY, mirrors=("http://127.0.0.1:9/",)))


def test_a_missing_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"^data set tiny: there is no folder .*/gone; name one that exists with"):
        load_images(TINY)


def refusal(folder: Path, name: str, content: bytes, source: ImageSet = TINY) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_images(source)
    message = str(caught.value)
    assert message.startswith(f"data file {folder / name}: ")
    assert "\n" not in message
    return message.removeprefix(f"data file {folder / name}: ")


def test_a_swapped_file_is_called_what_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, others = contents(), contents(seed=1)
    monkeypatch.setitem(IMAGE_SETS, "other", described(others, "other"))
    assert refusal(folder, IMAGES, files[TEST_IMAGES]) == (
        f"is really {TEST_IMAGES} of tiny; put {IMAGES} of tiny in its place"
    )
    assert refusal(folder, IMAGES, files[LABELS]).startswith(f"is really {LABELS} of tiny; ")
    assert refusal(folder, IMAGES, others[IMAGES]).startswith(f"is really {IMAGES} of other; ")
    assert refusal(folder, IMAGES, gzip.compress(others[IMAGES])).startswith(f"is really {IMAGES} of other; ")


def test_a_published_gzip_file_of_another_set_is_called_what_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = {name: gzip.compress(content) for name, content in contents(seed=1).items()}
    monkeypatch.setitem(IMAGE_SETS, "other", published(described(contents(seed=1), "other"), packages))
    assert refusal(folder, IMAGES, packages[IMAGES]).startswith(f"is really {IMAGES} of other; ")


@pytest.mark.parametrize("known", [True, False], ids=["hash-known", "hash-unknown"])
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (IMAGES, lambda c: written(np.zeros(7, np.uint8)), "starts with 00000801 as labels do, not with 00000803 as"),
        (LABELS, lambda c: written(np.zeros((2, 2, 2), np.uint8)), "starts with 00000803 as images do, not with 0000"),
        (IMAGES, lambda c: b"<html>not found</html>", "starts with 3c68746d, not with 00000803 as images do"),
        (IMAGES, lambda c: b"", "starts with nothing, not with 00000803 as images do"),
        (IMAGES, lambda c: written(np.zeros((5, 4, 3), np.uint8)), "holds 5×4×3 values, not 20×4×3"),
        (LABELS, lambda c: written(np.zeros(10, np.uint8)), "holds 10 values, not 20"),
        (IMAGES, lambda c: c[:100], "is cut short: 100 bytes, not 256"),
        (IMAGES, lambda c: c[:9], "is cut short: 9 bytes, not 256"),
        (IMAGES, lambda c: c + b"x", "is longer than its 256 bytes"),
        (IMAGES, lambda c: gzip.compress(c + b"x" * 9999), "is longer than its 256 bytes"),
        (IMAGES, lambda c: gzip.compress(c)[:-20], "is no intact gzip file (Compressed file ended before"),
        (IMAGES, lambda c: gzip.compress(c)[:-8] + b"12345678", "is no intact gzip file (CRC check failed"),
        (IMAGES, lambda c: gzip.compress(c)[:30] + b"\xff" * 99, "is no intact gzip file ("),
        (IMAGES, lambda c: b"\x1f\x8b\x99", "is no intact gzip file ("),
        (LABELS, lambda c: c[:-1] + b"\x63", ""),
    ],
)
def test_a_file_that_is_not_what_it_has_to_be_is_refused(
    folder: Path, name: str, change: object, message: str, known: bool
) -> None:
    packages = {name: gzip.compress(content) for name, content in contents().items()}
    content = change(contents()[name])  # type: ignore[operator]
    found = refusal(folder, name, content, TINY if known else published(TINY, packages))
    altered = f"was altered: its content's SHA-256 is {sha256(content).hexdigest()}, not {TINY.files[1].sha256}"
    assert found.startswith(message or (altered if known else "label 19 is 99, not one of 0…4"))


def test_without_a_known_content_the_balance_of_the_classes_is_checked(folder: Path) -> None:
    packages = {name: gzip.compress(content) for name, content in contents().items()}
    source = published(TINY, packages)
    assert len(load_images(source).labels) == TRAIN + TEST
    content = bytearray(contents()[LABELS])
    content[8] = 1
    assert refusal(folder, LABELS, bytes(content), source) == "was altered: class 0 has 3 rows, not 4"


def test_a_folder_in_the_place_of_a_file_does_not_count(folder: Path) -> None:
    (folder / IMAGES).unlink()
    (folder / IMAGES).mkdir()
    with pytest.raises(DataError, match=f"lacks {IMAGES} "):
        load_images(TINY)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "it is a named pipe, not a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a plain file"),
        (lambda path: path.write_bytes(bytes(70_000)), "it has 70,000 bytes; at most "),
        (lambda path: path.write_bytes(gzip.compress(bytes(10**8))), "it has 97,"),
    ],
)
def test_what_is_no_file_or_too_large_is_refused_before_it_is_read(
    folder: Path, make: Callable[[Path], object], kind: str
) -> None:
    (folder / IMAGES).unlink()
    make(folder / IMAGES)
    with pytest.raises(DataError, match=rf"/{IMAGES}: {kind}"):
        load_images(TINY)


def test_a_file_that_unpacks_to_far_more_is_not_unpacked(folder: Path) -> None:
    bomb = gzip.compress(bytes(5 * 10**7))
    (folder / IMAGES).write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="starts with 00000000, not with 00000803"):
            load_images(TINY)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@contextmanager
def mirror(files: dict[str, bytes], *, promise: int = 0) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine: its address, and what it was asked for; it promises more bytes than it sends."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = files.get(self.path.removeprefix("/set/"))
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + promise))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/set/", asked
        finally:
            server.shutdown()
            thread.join()


PACKED = {f"{name}.gz": gzip.compress(content) for name, content in contents().items()}
DEAD = "http://127.0.0.1:9/"


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def test_what_is_missing_is_downloaded_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mirror(PACKED) as (address, asked):
        source = replace(TINY, mirrors=(address,))
        first, again = load_images(source), load_images(source)
        assert asked == [f"/set/{name}.gz" for name in NAMES]
        (tmp_path / "cache" / "harness" / "tiny" / f"{LABELS}.gz").unlink()
        load_images(source)
        assert asked[4:] == [f"/set/{LABELS}.gz"]
    np.testing.assert_array_equal(first.features, again.features)
    assert first.features.tobytes()[: TRAIN * 12] == contents()[IMAGES][16:]
    assert kept(tmp_path) == sorted(PACKED)
    told = capsys.readouterr()
    assert not told.out
    assert told.err.splitlines() == [f"downloading {address}{name}.gz" for name in (*NAMES, LABELS)]


def test_a_mirror_takes_over_where_another_fails(tmp_path: Path) -> None:
    half = {name: PACKED[name] for name in list(PACKED)[:2]}
    with mirror(half) as (first, asked), mirror(PACKED) as (second, asked_then):
        load_images(replace(TINY, mirrors=(DEAD, first, second)))
    assert len(asked) == 3
    assert asked_then == [f"/set/{name}.gz" for name in NAMES[2:]]
    assert kept(tmp_path) == sorted(PACKED)


@pytest.mark.parametrize(
    ("content", "promise", "message"),
    [
        (gzip.compress(contents(seed=1)[IMAGES]), 0, "was altered: its content's SHA-256 is "),
        (PACKED[f"{IMAGES}.gz"][:-9], 9, r"is no intact gzip file \("),
        (b"<html>sign in</html>", 0, "starts with 3c68746d, not with 00000803 as images do"),
        (b"\0" * 300_000, 0, "starts with 00000000, not with 00000803 as images do"),
    ],
)
def test_an_altered_download_is_refused_and_not_kept(
    tmp_path: Path, content: bytes, promise: int, message: str
) -> None:
    with mirror({**PACKED, f"{IMAGES}.gz": content}, promise=promise) as (address, _):
        source = replace(TINY, mirrors=(address,))
        with pytest.raises(DataError, match=rf"could not be downloaded \(data file {address}{IMAGES}\.gz: {message}"):
            load_images(source)
        assert kept(tmp_path) == []
        if not promise:
            with mirror(PACKED) as (other, _):
                load_images(replace(source, mirrors=(address, other)))
            assert kept(tmp_path) == sorted(PACKED)


def test_a_download_of_unknown_content_must_be_the_published_file(tmp_path: Path) -> None:
    source = published(TINY, {name.removesuffix(".gz"): raw for name, raw in PACKED.items()})
    altered = bytearray(contents()[IMAGES])
    altered[-1] ^= 1
    with (
        mirror({**PACKED, f"{IMAGES}.gz": gzip.compress(altered)}) as (address, _),
        pytest.raises(DataError, match=r"was altered: its SHA-256 is \w{64}, not \w{64}\); put"),
    ):
        load_images(replace(source, mirrors=(address,)))
    assert kept(tmp_path) == []
    with mirror(PACKED) as (address, _):
        load_images(replace(source, mirrors=(address,)))
    assert kept(tmp_path) == sorted(PACKED)


def test_without_network_and_files_one_sentence_says_what_to_put_where(tmp_path: Path) -> None:
    with (
        mirror({}) as (address, _),
        pytest.raises(
            DataError,
            match=rf"^data set tiny: {IMAGES}\.gz could not be downloaded \({DEAD}{IMAGES}\.gz: .*Connection refused; "
            rf"{address}{IMAGES}\.gz: HTTP Error 404: Not Found\); put {', '.join(NAMES)} \(plain or \.gz\) into "
            r".*/cache/harness/tiny, or all files of the set into a folder that you name with --data-dir or "
            r"HARNESS_DATA$",
        ),
    ):
        load_images(replace(TINY, mirrors=(DEAD, address)))
    assert kept(tmp_path) == []


def test_a_spoilt_file_in_the_cache_is_named_with_its_cure(tmp_path: Path) -> None:
    with mirror(PACKED) as (address, _):
        load_images(replace(TINY, mirrors=(address,)))
    (tmp_path / "cache" / "harness" / "tiny" / f"{LABELS}.gz").write_bytes(b"")
    with pytest.raises(DataError, match=rf"/tiny/{LABELS}\.gz: starts with nothing.*; delete it and it is downloaded"):
        load_images(TINY)


EXPERIMENT = """
name = "small"
data = { set = "mnist", targets = ["0 V", "4 V"] }
rule = { beta = "1 uS" }
update = { kind = "adam", rates = [1e-2] }
training = { epochs = 2, batch = 5 }
chip = { kind = "nodal" }
[network]
kind = "layered"
hidden = [4]
g_unit = "10 uS"
g_max = "100 uS"
diode = { saturation_current = "10 pA" }
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment with the small set in the place of MNIST."""
    monkeypatch.setitem(IMAGE_SETS, "mnist", replace(TINY, name="mnist"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(EXPERIMENT)
    return path


def test_every_command_that_reads_data_takes_a_data_folder(
    small: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (
        ["train", "small.toml", "--run", "run", "--json"],
        ["train", "--resume", "run"],
        ["evaluate", "run", "--json"],
        ["export", "run", "--to", "netlist", "--samples", "9"],
        ["check", "run", "--chip", "nodal"],
    ):
        monkeypatch.setenv("HARNESS_DATA", "")
        result = CliRunner().invoke(main, [*words, "--data-dir", str(folder)])
        assert result.exit_code == 0, (words, result.output)
        if words[0] == "evaluate":
            shown = json.loads(result.stdout)
            assert (shown["train_samples"], shown["test_samples"]) == (TRAIN, TEST)
    assert "\n9,free," in Path("netlist/expected.csv").read_text()
    assert "held_out" not in Path("run/experiment.toml").read_text()


def test_the_variable_names_the_folder_too_and_a_share_splits_all_rows_anew(small: Path, folder: Path) -> None:
    result = CliRunner().invoke(main, ["train", "small.toml", "--run", "run", "--set", "data.held_out=0.5", "--json"])
    assert result.exit_code == 0, result.output
    shown = json.loads(CliRunner().invoke(main, ["evaluate", "run", "--json"]).stdout)
    assert (shown["train_samples"], shown["test_samples"]) == (15, 15)


def test_a_run_does_not_go_on_with_other_images(small: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CliRunner().invoke(main, ["train", "small.toml", "--run", "run"]).exit_code == 0
    others = contents(seed=1)
    monkeypatch.setitem(IMAGE_SETS, "mnist", described(others, "mnist"))
    for name, content in others.items():
        (folder / name).write_bytes(content)
    result = CliRunner().invoke(main, ["train", "--resume", "run"])
    assert result.exit_code == 1
    assert "its data are not those that it was made with" in result.stderr


def test_missing_data_are_one_sentence_and_exit_code_1(small: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["train", "small.toml", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"harness: data set mnist: {tmp_path} lacks {IMAGES}, {LABELS}, ")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_listing_the_data_sets_reads_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "gone"))
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 0
    assert "fashion_mnist" in result.stdout
    assert kept(tmp_path) == []


@pytest.mark.parametrize("given", ["", "~/images"])
def test_a_user_without_a_home_is_told_what_to_name(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under ``docker -u 12345``: no HOME, and no entry in the list of users."""

    def nobody(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HARNESS_DATA", given)
    with pytest.raises(
        DataError, match=r"data set mnist: this user has no home directory .* name a folder with --data"
    ):
        load_images(IMAGE_SETS["mnist"])
