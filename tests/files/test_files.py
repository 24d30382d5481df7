"""Files and folders appear whole or not at all, also where a command is killed while it writes them."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.files.writing import make_folders, whole_folder, write_atomic, write_in_turn

WRITER = """
import sys, time
from pathlib import Path
from harness.files.writing import whole_folder
with whole_folder(Path(sys.argv[1])) as made:
    (made / "half").write_text("done")
    print("begun", flush=True)
    time.sleep(60)
"""


def begun(folder: Path) -> subprocess.Popen[bytes]:
    """A process that is making a folder, and will not end by itself."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == b"begun\n"
    return process


def test_a_file_that_fails_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    write_atomic(file, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomic(file, b"new")
    assert caught.value.filename == str(file)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_files_in_turn_are_on_the_disk_before_the_first_is_replaced_and_replaced_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def told_sync(file: int) -> None:
        done.append("sync")
        sync(file)

    def told_replace(part: Path, path: Path) -> None:
        done.append(path.name)
        replace(part, path)

    monkeypatch.setattr(os, "fsync", told_sync)
    monkeypatch.setattr(os, "replace", told_replace)
    files = {tmp_path / name: name.encode() for name in ("zoo", "a", "middle")}
    write_in_turn(files)
    assert done == ["sync", "sync", "sync", "zoo", "a", "middle"]
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == files


def test_files_in_turn_stay_as_they_were_where_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write_in_turn({one: b"old", other: b"old"})
    with pytest.raises(FileNotFoundError, match="there is no folder") as caught:
        write_in_turn({one: b"new", tmp_path / "absent" / "file": b"new", other: b"new"})
    assert caught.value.filename == str(tmp_path / "absent" / "file")
    calls = iter(range(9))

    def fail_once(file: int) -> None:
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(OSError, match="No space left on device"):
        write_in_turn({one: b"new", other: b"new"})
    assert (one.read_bytes(), other.read_bytes()) == (b"old", b"old")
    assert sorted(tmp_path.iterdir()) == [one, other]


def test_a_file_obeys_the_umask_and_takes_the_longest_name(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / ("n" * 255), b"content")
    finally:
        os.umask(before)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent") as caught:
        write_atomic(tmp_path / "absent" / "file", b"")
    assert caught.value.filename == str(tmp_path / "absent" / "file")


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "made") as made:
        (made / "inside").write_text("text")
        assert not (tmp_path / "made").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "inside").read_text() == "text"


def test_a_folder_that_fails_vanishes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "made") as made:
        (made / "inside").write_text(str(1 / 0))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_replaces_nothing(tmp_path: Path) -> None:
    """Not even an empty folder that another command has made meanwhile."""
    with pytest.raises(FileExistsError, match="exists already"), whole_folder(tmp_path / "made"):
        (tmp_path / "made").mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_folders_that_are_made_together_have_their_files(tmp_path: Path) -> None:
    wanted = {tmp_path / name: {"first": name.encode(), "second": b"\0"} for name in ("a", "b", "c")}
    make_folders(wanted)
    found = {folder: {file.name: file.read_bytes() for file in folder.iterdir()} for folder in tmp_path.iterdir()}
    assert found == wanted


def test_folders_that_are_made_together_replace_nothing_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(FileExistsError, match="exists already") as caught:
        make_folders({tmp_path / "b": {"file": b"new"}})
    assert caught.value.filename == str(tmp_path / "b")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent"):
        make_folders({tmp_path / "c": {"file": b""}, tmp_path / "absent" / "d": {"file": b""}})
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert list((tmp_path / "b").iterdir()) == []


def test_what_a_killed_command_left_is_removed_by_the_next_and_only_that(tmp_path: Path) -> None:
    killed, living = begun(tmp_path / "run"), begun(tmp_path / "run")
    mine = tmp_path / ".run-notes.partial.txt"
    mine.write_text("the user's own")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.glob(".run-????????.partial"))) == 2
        with whole_folder(tmp_path / "run"):
            (kept,) = (p for p in tmp_path.glob(".run-????????.partial") if (p / "half").exists())
    finally:
        living.kill()
        living.wait()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([kept.name, mine.name, "run"])


def write_often(folder: Path, until: float) -> None:
    number = 0
    while time.monotonic() < until:
        number += 1
        write_atomic(folder / "file", b"content %d" % number)


def test_two_commands_that_write_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    until = time.monotonic() + 0.5
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=write_often, args=(tmp_path, until + 1)) for _ in range(2)]
    for other in others:
        other.start()
    write_often(tmp_path, until)
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    assert (tmp_path / "file").read_bytes().startswith(b"content ")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
