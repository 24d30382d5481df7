"""Random translations of images: pixels by pixels, their draws, and what cannot be translated."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets.samples import Translation
from harness.errors import DataError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.training.controller import moves_of


def digits(*overrides: str) -> Experiment:
    return Experiment.load("digits", ["chip.kind=nodal", *overrides])


@given(st.integers(2, 6), st.integers(2, 6), st.data())
def test_an_image_moves_down_and_to_the_right_and_blanks_come_into_view(
    height: int, width: int, data: st.DataObject
) -> None:
    codes = np.arange(1, 3 * height * width + 1, dtype=np.uint8).reshape(3, -1)
    reach = min(height, width) - 1
    moves = np.array([[data.draw(st.integers(-reach, reach)) for _ in range(2)] for _ in range(3)])
    found = Translation(reach, (height, width), 0.0).moved(codes, moves).reshape(3, height, width)
    for image, was, (down, right) in zip(found, codes.reshape(3, height, width), moves, strict=True):
        for row in range(height):
            for column in range(width):
                y, x = row - down, column - right
                assert image[row, column] == (was[y, x] if 0 <= y < height and 0 <= x < width else 0)
    assert found.dtype == np.uint8


def test_all_translations_are_equally_likely_and_drawn_anew_each_epoch() -> None:
    translation = Translation(1, (8, 8), -1.0)
    moves = translation.draw(9000, np.random.default_rng(0))
    counts = Counter(map(tuple, moves.tolist()))
    assert len(counts) == 9
    assert max(abs(count - 1000) for count in counts.values()) < 150  # five standard deviations
    experiment = digits("data.translate=1")
    rows, plan = experiment.data.train, experiment.plan
    first, again, second = (moves_of(plan, epoch, rows) for epoch in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)


def test_only_images_that_are_learned_move() -> None:
    still, moving = digits().data, digits("data.translate=2").data
    assert moves_of(digits().plan, 0, still.train) is None
    assert moving.test.translation is None
    rows = slice(0, 20)
    moves = np.tile([2, -1], (len(moving.train), 1))
    assert np.array_equal(moving.train.batch(rows).inputs, still.train.batch(rows).inputs)
    was = still.train.batch(rows).inputs.reshape(-1, 8, 8)
    found = moving.train.batch(rows, moves).inputs.reshape(-1, 8, 8)
    assert np.array_equal(found[:, 2:, :-1], was[:, :-2, 1:])
    assert (found[:, :2] == -1).all()
    assert (found[:, :, -1] == -1).all()
    assert moving.sha256() != still.sha256()


@pytest.mark.parametrize(
    ("experiment", "pixels", "message"),
    [
        ("iris", 1, "data.translate = 1: the rows of set 'iris' are no images; leave it out"),
        ("digits", 8, "data.translate = 8: images of 8×8 pixels can move by 0…7 pixels"),
        ("digits", -1, "data.translate = -1: must be at least 0"),
        ("digits", 0.5, "data.translate"),
    ],
)
def test_what_cannot_be_translated_is_refused(experiment: str, pixels: float, message: str) -> None:
    with pytest.raises((DataError, ExperimentError), match=message):
        assert Experiment.load(experiment, [f"data.translate={pixels}"]).data
