"""``kind = "convolutional"``: what its keys build, what they refuse, and a run from training to a verified netlist."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness import Experiment, Run
from harness.circuit import Convolution
from harness.cli.main import main
from harness.errors import ExperimentError
from harness.measurement import Array, Drive

SMALL = ["network.window=[3]", "network.kernels=[2]"]
QUICK = [*SMALL, "chip.kind=nodal", "training.epochs=2", "training.batch=240"]


def test_keys_become_kernels_pools_and_crossbars() -> None:
    deep = ["kernels=[2, 3]", "window=[3, 2]", "stride=[1, 1]", "pool=[2, 1]", "pool_conductance=50 uS", "hidden=[5]"]
    changes = [*(f"network.{change}" for change in deep), "network.bias=[20, 4, 4, 0]", "update.rates=[1e-3]"]
    circuit = Experiment.load("digits-conv", [*SMALL, *changes]).circuit
    grids = [array.grid if isinstance(array, Convolution) else array.shape for array in circuit.arrays]
    assert grids == [(36, 2 * 9 + 2, 2), (4, 2 * 4 + 2, 3), (12 + 2, 5), (5, 20)]
    pools = [element for element in circuit.elements if element.name.startswith("pool1_")]
    assert len(pools) == 72
    assert all(pool.conductance == 50e-6 for pool in pools)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["network.window=[9]"], "network.window: convolution: a window of 9 × 9 is larger than the image of 8 × 8"),
        (["network.window=[3, 3]"], "network.window: 2 values for 1 convolutional layer; give one for each"),
        (["network.window=[]"], "network.window: 0 values for 1 convolutional layer; give one for each"),
        (["network.kernels=[]"], "network.kernels"),
        (["network.pool=[2]"], "network.pool_conductance: a pool needs the conductance of its resistors"),
        (["network.pool=[4]", "network.pool_conductance=1 uS"], "pools of 4 × 4 do not divide the 6 × 6 positions"),
        (["network.bias=[1]"], "network.bias: 1 value for 2 crossbars; give one for each, 0 for none"),
        (["update.rates=[1, 1, 1]"], "update.rates: 3 rates for 2 crossbars"),
        (["network.kernels=[0]"], r"network.kernels\[0\] = 0: must be at least 1 and at most 10000"),
    ],
)
def test_keys_that_do_not_fit_are_refused_by_name(changes: list[str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Experiment.load("digits-conv", [*SMALL, *changes])


def test_an_image_that_the_data_are_not_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"network.image: 7 × 8 pixels for data with 64 inputs"):
        _ = Experiment.load("digits-conv", [*SMALL, "network.image=[7, 8]"]).circuit
    planes = Experiment.load("digits-conv", [*SMALL, "network.image=[4, 8]"]).circuit.arrays[0]
    assert isinstance(planes, Convolution)
    assert planes.grid == (12, 2 * 2 * 9 + 2, 2)


@pytest.mark.parametrize("choose", ["random", "largest"])
def test_copies_are_not_written_apart(choose: str) -> None:
    changes = [f"subset.choose={choose}", "subset.fraction=0.5"]
    with pytest.raises(ExperimentError, match=f"subset.choose = '{choose}': it would write some copies of a kernel's"):
        _ = Experiment.load("digits-conv", [*SMALL, *changes]).update
    assert Experiment.load("digits-conv", [*changes, "network.tied=false"]).update


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two short epochs."""
    experiment = Experiment.load("digits-conv", QUICK)
    experiment.train(run := experiment.create_run(tmp_path_factory.mktemp("convolution") / "run"))
    return run


def cells_of(run: Run) -> tuple[Array, ...]:
    position = run.position()
    assert position is not None
    return position.conductances


def test_a_stopped_run_goes_on_to_the_same_bits_and_copies_stay_equal(trained: Run, tmp_path: Path) -> None:
    experiment = Experiment.load("digits-conv", QUICK)
    stopped, asked = experiment.create_run(tmp_path / "stopped"), iter(range(20))
    experiment.train(stopped, stop=lambda: next(asked) >= 8)
    assert stopped.result is None
    assert not np.array_equal(cells_of(stopped)[1], cells_of(trained)[1])
    experiment.train(stopped)
    for one, other in zip(cells_of(stopped), cells_of(trained), strict=True):
        np.testing.assert_array_equal(one, other)
    copies = cells_of(trained)[0].reshape(36, -1)
    assert (copies == copies[0]).all()
    assert not np.array_equal(copies.ravel(), experiment.circuit.conductances[0])


def test_copies_are_devices_of_their_own() -> None:
    """What is asked of all copies alike, each device writes with an error of its own, on a cell of its own."""
    batch = (experiment := Experiment.load("digits-conv", [*QUICK, "variation.spread=0.1"])).data.train.batch(slice(9))
    with experiment.open_chip() as spread, Experiment.load("digits-conv", QUICK).open_chip() as ideal:
        assert np.array_equal(spread.conductances[0], ideal.conductances[0])
        found, drawn = (chip.measure([Drive(batch.inputs)])[0].outputs for chip in (spread, ideal))
        assert np.abs(found - drawn).max() > 1e-3
    noisy = Experiment.load("digits-conv", [*QUICK, "imperfect.programming_noise=0.01"])
    with noisy.open_chip() as chip:
        asked = tuple(np.full(g.shape, 1e-7) for g in chip.conductances)
        written = chip.adjust(asked)[0].reshape(36, -1)
        assert len(np.unique(written[:, 0])) > 20  # some are clipped at 0 S


def test_a_run_is_drawn_reported_checked_and_exported(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.path.parent)
    commands = [
        ["show", "run", "--to", "run.svg"],
        ["report", "run", "--to", "run.html"],
        ["conductances", "export", "run", "--to", "g.csv"],
        ["conductances", "import", "run", "g.csv", "--to", "again"],
        ["check", "run"],
    ]
    for command in commands:
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, (command, result.output)
    assert "w1: 20 words × 2 bits, mean of 36 positions" in re.sub(r"<!-- | -->", "", Path("run.svg").read_text())
    page = Path("run.html").read_text()
    for text in ("memristor, convolution w1", "36 × 20 × 2 positions × word × bit lines", "memristor of a convolution"):
        assert text in page
    for one, other in zip(cells_of(Run("again")), cells_of(trained), strict=True):
        np.testing.assert_array_equal(one, other)
