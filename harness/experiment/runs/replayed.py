"""Sessions with a board that a run has recorded, trained again from their cassettes without the board."""

import json
from pathlib import Path
from typing import NamedTuple

from harness.chip.bench.cassette import FILE as CASSETTE
from harness.chip.bench.cassette import ReplayLine
from harness.chip.bench.journal import FILE as JOURNAL
from harness.chip.bench.journal import START, before_session
from harness.errors import RunError
from harness.experiment.experiment import Experiment
from harness.experiment.runs.bench import PROFILE
from harness.experiment.runs.trust import open_any_board
from harness.files.reading import read_arrays
from harness.files.writing import write_atomic
from harness.training.position import position_of
from harness.training.runs import BENCH, Run, Start

_ORIGINS = ("origin", "imported_conductances")


class Replay(NamedTuple):
    """A session that is about to be replayed."""

    subject: Experiment
    run: Run
    """A new run, which stands where the recorded one stood when the session began."""
    line: ReplayLine
    recorded: Run
    """The run that recorded it."""

    @property
    def same(self) -> bool | None:
        """True where both runs hold the same conductances bit for bit; None where they stand at different steps."""
        now, then = self.run.position(), self.recorded.position()
        if now is None or then is None or (now.epoch, now.step) != (then.epoch, then.step):
            return None
        pairs = zip(now.conductances, then.conductances, strict=True)
        return all(one.tobytes() == other.tobytes() for one, other in pairs)


def replay_of(cassette: Path, folder: Path) -> Replay:
    """Prepare to train a recorded session again, in a new run at `folder`.

    Raises:
        RunError: the cassette is damaged or lies in no run, or something is at `folder`.
    """
    session, bench = cassette.parent, cassette.parent.parent
    if cassette.name != CASSETTE or bench.name != BENCH or not session.name.removeprefix("session-").isdigit():
        raise RunError(f"{cassette}: it is no cassette of a run; these are RUN/{BENCH}/session-1/{CASSETTE} and so on")
    recorded, line = Run(bench.parent), ReplayLine(cassette)
    subject = Experiment.of_run(recorded).replace({"chip.profile": str(session / PROFILE)})
    open_any_board()  # none is opened: the cassette answers
    saved = session / START
    position = position_of(read_arrays(saved, RunError)) if saved.exists() else None
    manifest = recorded.manifest
    origin = {key: manifest[key] for key in _ORIGINS if key in manifest}
    run = subject.create_run(folder, None if position is None else Start(position.conductances, origin))
    if position is not None:
        run.save(position, *recorded.tables(), score=subject.score)
    (run.path / BENCH).mkdir()
    entries = before_session(bench, int(session.name.removeprefix("session-")))
    write_atomic(run.path / BENCH / JOURNAL, "".join(f"{json.dumps(entry)}\n" for entry in entries).encode())
    return Replay(subject, run, line, recorded)
