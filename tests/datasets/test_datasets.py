"""Data sets: sizes, splits, standardisation, encoding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.datasets import BUILT_IN, IMAGE_SETS, Samples, Split, Table, split
from harness.errors import DataError, HarnessError
from harness.measurement import Array

LEVELS = (0.0, 4.0)


def split_of(name: str, held_out: float | None, seed: int = 0) -> Split:
    return split(BUILT_IN[name](), held_out=held_out, seed=seed, levels=LEVELS)


def labels_of(targets: Array) -> list[int]:
    return sorted(int(label) for label in targets.argmax(axis=1))


def volts(samples: Samples) -> Array:
    return samples.batch(slice(None)).inputs


def marked(rows: int, classes: int = 2, **changes: bool) -> Table:
    """A table whose only feature says which row it is."""
    labels = np.arange(rows) % classes
    return Table(np.arange(rows, dtype=float)[:, None], labels, tuple(map(str, range(classes))), **changes)


@pytest.mark.parametrize(
    ("name", "rows", "channels", "classes"),
    [("digits", 1797, 64, 10), ("iris", 150, 4, 3), ("wine", 178, 13, 3), ("xor", 4, 2, 2)],
)
def test_built_in_tables_have_their_sizes(name: str, rows: int, channels: int, classes: int) -> None:
    table = BUILT_IN[name]()
    assert table.features.shape == (rows, channels)
    assert table.labels.shape == (rows,)
    assert len(set(table.classes)) == classes
    assert sorted(set(table.labels.tolist())) == list(range(classes))
    assert np.isfinite(table.features).all()


def test_a_fifth_of_the_digits_is_held_out_from_every_class() -> None:
    digits = split_of("digits", 0.2)
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.channels == 64
    assert digits.classes == tuple("0123456789")
    assert min(volts(digits.train).min(), volts(digits.test).min()) == -1.0
    assert max(volts(digits.train).max(), volts(digits.test).max()) == 1.0
    assert all(34 <= count <= 38 for count in np.bincount(digits.test.targets.argmax(axis=1)))


def test_three_tenths_of_the_irises_are_fifteen_of_each() -> None:
    iris = split_of("iris", 0.3)
    assert (len(iris.train), len(iris.test)) == (105, 45)
    assert iris.classes == ("setosa", "versicolor", "virginica")
    assert labels_of(iris.test.targets) == [0] * 15 + [1] * 15 + [2] * 15


def test_xor_trains_and_tests_on_the_whole_truth_table() -> None:
    xor = split_of("xor", 0.0)
    assert xor.classes == ("equal", "different")
    for part in (xor.train, xor.test):
        np.testing.assert_array_equal(volts(part), [[-1, -1], [-1, 1], [1, -1], [1, 1]])
        np.testing.assert_array_equal(part.targets, [[4, 0], [0, 4], [0, 4], [4, 0]])


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_features_are_standardised_by_the_training_rows_only(name: str) -> None:
    found = split_of(name, 0.3)
    np.testing.assert_allclose(volts(found.train).mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(volts(found.train).std(axis=0), 1.0, rtol=1e-12)
    assert np.abs(volts(found.test).mean(axis=0)).max() > 1e-3, "the held-out rows were used"


def test_held_out_rows_are_shifted_and_scaled_as_the_training_rows() -> None:
    found = split(marked(20, standardise=True), held_out=0.3, seed=0, levels=LEVELS)
    steps = np.diff(np.sort(np.concatenate([volts(found.train), volts(found.test)]), axis=0), axis=0)
    np.testing.assert_allclose(steps, np.full((19, 1), steps[0]), rtol=1e-9)  # row numbers stay evenly spaced


@given(rows=st.integers(8, 60), seed=st.integers(0, 2**32 - 1), share=st.floats(0.2, 0.7), stratify=st.booleans())
@settings(deadline=None, max_examples=50)
def test_every_row_is_trained_on_or_held_out_and_none_is_both(
    rows: int, seed: int, share: float, stratify: bool
) -> None:
    found = split(marked(rows, stratify=stratify), held_out=share, seed=seed, levels=LEVELS)
    train, test = (volts(part)[:, 0].astype(int).tolist() for part in (found.train, found.test))
    assert sorted(train + test) == list(range(rows))
    assert len(test) == int(np.ceil(share * rows))
    for part in (found.train, found.test):
        np.testing.assert_array_equal(part.targets.argmax(axis=1), volts(part)[:, 0] % 2)


def test_the_seed_decides_the_split() -> None:
    first, again, other = (split_of("iris", 0.3, seed) for seed in (1, 1, 2))
    for a, b in ((first.train, again.train), (first.test, again.test)):
        assert volts(a).tobytes() == volts(b).tobytes()
        assert a.targets.tobytes() == b.targets.tobytes()
    assert volts(first.train).tobytes() != volts(other.train).tobytes()


def test_nothing_held_out_tests_on_the_training_rows() -> None:
    found = split(marked(6), held_out=0.0, seed=0, levels=LEVELS)
    np.testing.assert_array_equal(volts(found.train), volts(found.test))
    assert len(found.train) == 6


@given(low=st.floats(-5, 5), swing=st.floats(0.1, 5), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=30)
def test_targets_are_one_hot_at_the_given_levels(low: float, swing: float, seed: int) -> None:
    high = low + swing
    found = split(marked(30, classes=3), held_out=0.3, seed=seed, levels=(low, high))
    for part in (found.train, found.test):
        assert part.targets.shape == (len(part), 3)
        np.testing.assert_array_equal(np.sort(part.targets, axis=1), np.tile([low, low, high], (len(part), 1)))


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_a_set_without_test_rows_holds_out_a_fifth_unless_told_otherwise(name: str) -> None:
    untold, told = split_of(name, None), split_of(name, 0.2)
    for a, b in ((untold.train, told.train), (untold.test, told.test)):
        np.testing.assert_array_equal(volts(a), volts(b))
        np.testing.assert_array_equal(a.targets, b.targets)


def pixels(rows: int = 40, test_rows: int = 10) -> Table:
    """Random images of six pixels whose first pixel says which row it is."""
    codes = np.random.default_rng(0).integers(0, 256, (rows, 6), dtype=np.uint8)
    codes[:, 0] = np.arange(rows)
    labels = np.arange(rows) % 2
    return Table(codes, labels, ("a", "b"), standardise=True, stratify=True, test_rows=test_rows)


def test_test_rows_of_a_sets_own_are_held_out_unless_told_otherwise() -> None:
    found = split(pixels(), held_out=None, seed=3, levels=LEVELS)
    np.testing.assert_array_equal(found.train.codes[:, 0], np.arange(30))
    np.testing.assert_array_equal(found.test.codes[:, 0], np.arange(30, 40))
    np.testing.assert_array_equal(found.test.targets.argmax(axis=1), np.arange(30, 40) % 2)
    told = split(pixels(), held_out=0.5, seed=3, levels=LEVELS)
    assert (len(told.train), len(told.test)) == (20, 20)
    both = np.concatenate([told.train.codes[:, 0], told.test.codes[:, 0]])
    assert sorted(both.tolist()) == list(range(40))


def test_pixels_stay_bytes_and_have_one_mean_and_deviation_over_the_training_rows() -> None:
    found = split(pixels(), held_out=None, seed=0, levels=LEVELS)
    assert found.train.codes.dtype == found.test.codes.dtype == np.uint8
    shown = volts(found.train)
    assert shown.dtype == np.float64
    assert shown.mean() == pytest.approx(0, abs=1e-12)
    assert shown.std() == pytest.approx(1, rel=1e-12)
    assert np.abs(shown.mean(axis=0)).max() > 0.1, "each pixel got a mean of its own"
    p = found.train.codes / 255
    np.testing.assert_allclose(volts(found.test), (found.test.codes / 255 - p.mean()) / p.std(), rtol=1e-9)
    row = np.array([7])
    np.testing.assert_array_equal(found.train.batch(row).inputs, shown[row])


def test_equal_pixels_become_zero_volts() -> None:
    table = Table(np.full((8, 3), 200, np.uint8), np.arange(8) % 2, ("a", "b"), standardise=True, test_rows=2)
    np.testing.assert_array_equal(volts(split(table, held_out=None, seed=0, levels=LEVELS).train), 0.0)


def test_image_sets_have_their_sizes() -> None:
    assert list(IMAGE_SETS) == ["mnist", "fashion_mnist", "kmnist"]
    for name, source in IMAGE_SETS.items():
        assert (source.name, source.samples, source.channels) == (name, 70_000, 784)
        assert len(set(source.classes)) == 10
        digests = [file.sha256 or file.packed_sha256 or "" for file in source.files]
        assert all(len(digest) == 64 for digest in digests)


def test_a_batch_is_the_wanted_rows_in_the_wanted_order() -> None:
    rows = split(marked(6), held_out=0.0, seed=0, levels=LEVELS).train
    batch = rows.batch(np.array([4, 1]))
    np.testing.assert_array_equal(batch.inputs, [[4.0], [1.0]])
    np.testing.assert_array_equal(batch.targets, [[4.0, 0.0], [0.0, 4.0]])
    assert len(batch) == 2
    assert len(rows.batch(slice(2, 5))) == 3


def test_a_constant_feature_becomes_zero_volts() -> None:
    features = np.column_stack([np.full(12, 2.0), np.arange(12.0)])
    table = Table(features, np.arange(12) % 2, ("a", "b"), standardise=True)
    found = split(table, held_out=0.25, seed=0, levels=LEVELS)
    for part in (found.train, found.test):
        np.testing.assert_array_equal(volts(part)[:, 0], 0.0)


def test_a_feature_that_is_constant_in_the_training_rows_is_zero_volts_in_the_others_too() -> None:
    features = np.column_stack([np.arange(12.0), np.r_[np.zeros(10), 1e9, 1e9]])
    table = Table(features, np.arange(12) % 2, ("a", "b"), standardise=True, test_rows=2)
    found = split(table, held_out=None, seed=0, levels=LEVELS)
    np.testing.assert_array_equal(volts(found.test)[:, 1], 0.0)


@pytest.mark.parametrize("size", [1e-300, 1e-100, 1e99])
def test_tiny_and_huge_features_have_a_deviation_of_a_volt(size: float) -> None:
    table = Table(size * np.arange(12.0)[:, None], np.arange(12) % 2, ("a", "b"), standardise=True)
    shown = volts(split(table, held_out=0.25, seed=0, levels=LEVELS).train)
    assert shown.mean() == pytest.approx(0, abs=1e-9)
    assert shown.std() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(
    ("labels", "held_out", "message"),
    [
        ("abbc", 0.5, r"^data: class 'a' has one row only, and so have 1 more of 3 classes, and one to train on"),
        (
            "aabbcc",
            0.2,
            r"^data: 0\.2 of 6 rows held out are 2, which leaves 4 to train on, and each of 3 classes needs",
        ),
        ("aabbcc", 0.9, r"^data: 0\.9 of 6 rows held out are 6, which leaves 0 to train on"),
    ],
)
def test_too_few_rows_for_every_class_are_refused(labels: str, held_out: float, message: str) -> None:
    codes = np.array(["abc".index(label) for label in labels])
    table = Table(np.arange(float(len(codes)))[:, None], codes, ("a", "b", "c"), stratify=True)
    with pytest.raises(DataError, match=message):
        split(table, held_out=held_out, seed=0, levels=LEVELS)


def test_a_data_error_is_of_this_package() -> None:
    assert issubclass(DataError, HarnessError)


def test_irises_digits_and_moons_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits, load_iris, make_moons

    iris, bunch = BUILT_IN["iris"](), load_iris()
    assert (iris.classes, iris.channels) == (tuple(bunch.target_names), tuple(bunch.feature_names))
    pixels, numbers = load_digits(return_X_y=True)
    for table, (features, labels) in (
        (BUILT_IN["digits"](), (pixels / 8 - 1, numbers)),
        (iris, (bunch.data, bunch.target)),
        (BUILT_IN["moons"](), make_moons(400, noise=0.15, random_state=0)),
    ):
        assert (table.features.dtype, table.features.tobytes()) == (features.dtype, features.tobytes())
        assert (table.labels.dtype, table.labels.tobytes()) == (labels.dtype, labels.tobytes())


@settings(max_examples=60)
@given(
    st.lists(st.integers(2, 12), min_size=2, max_size=6).flatmap(
        lambda counts: st.permutations([label for label, count in enumerate(counts) for _ in range(count)])
    ),
    st.floats(0.01, 0.99),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_rows_are_split_as_scikit_learn_splits_them(labels: list[int], share: float, seed: int, stratify: bool) -> None:
    from sklearn.model_selection import train_test_split

    rows, classes = np.arange(len(labels), dtype=float)[:, None], tuple(map(str, range(max(labels) + 1)))
    table = Table(rows, np.array(labels), classes, stratify=stratify)
    try:
        wanted = train_test_split(rows, test_size=share, random_state=seed, stratify=labels if stratify else None)
    except ValueError:
        with pytest.raises(DataError, match=r"rows? held out|needs? a row"):
            split(table, held_out=share, seed=seed)
        return
    parts = split(table, held_out=share, seed=seed)
    assert [volts(part).tolist() for part in (parts.train, parts.test)] == [part.tolist() for part in wanted]


@pytest.mark.parametrize("share", [-0.1, 1.0, 7.0, float("nan")])
def test_shares_that_are_none_are_refused(share: float) -> None:
    with pytest.raises(DataError, match=rf"{share:g} of 10 rows cannot be held out; give a share below 1"):
        split(marked(10), held_out=share, seed=0)
