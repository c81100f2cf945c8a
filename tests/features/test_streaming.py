"""Features found in one pass over frames equal those of the whole frame."""

import numpy as np
import pandas as pd
import pytest

from kmtl.features import TabularFeatures
from kmtl.features._moments import Moments
from kmtl.features._tally import NumberTally, Reservoir, Sampling


def parts(frame, size):
    return [frame[i : i + size] for i in range(0, len(frame), size)]


@pytest.mark.parametrize("size", [1, 7, 60])
@pytest.mark.filterwarnings("ignore:Column .* is nearly unique")
def test_features_of_a_stream_equal_those_of_the_frame(frame, size):
    streamed = TabularFeatures.from_stream(parts(frame, size))
    assert streamed == TabularFeatures.from_frame(frame)


def test_named_kinds_and_settings_are_the_same(frame):
    frame["day"] = frame["born"].dt.strftime("%Y-%m-%d")
    options = {
        "categorical": ["age"],
        "numeric": ["member"],
        "text": ["city"],
        "exclude": ["note"],
        "max_vocabulary": 3,
        "min_count": 2,
        "bins": 5,
    }
    streamed = TabularFeatures.from_stream(parts(frame, 9), **options)
    assert streamed == TabularFeatures.from_frame(frame, **options)


def test_a_column_may_be_missing_in_some_frames(frame):
    frame.loc[:29, ["age", "city", "born", "code", "note"]] = None
    streamed = TabularFeatures.from_stream(parts(frame, 10))
    assert streamed == TabularFeatures.from_frame(frame)


def test_ids_and_constants_are_told_as_for_a_frame():
    frame = pd.DataFrame({"id": range(200), "one": 1, "x": [1.5, 2.5] * 100})
    with (
        pytest.warns(UserWarning, match="'id' is nearly unique"),
        pytest.warns(UserWarning, match="'one' holds one value only"),
    ):
        features = TabularFeatures.from_stream(parts(frame, 50))
    assert features.names == ("id", "x")


def test_a_generator_is_read_once(frame):
    features = TabularFeatures.from_stream(part for part in parts(frame, 20))
    assert features == TabularFeatures.from_frame(frame)


def test_quantiles_of_a_sample_are_within_the_stated_error():
    values = np.random.default_rng(0).lognormal(size=40_000)
    frame = pd.DataFrame({"x": values})
    streamed = TabularFeatures.from_stream(parts(frame, 1_000), sample=4_000)
    column, error = streamed.columns[0], np.sqrt(np.log(200) / 8_000)
    edges = np.array(column.edges) * column.scale + column.center
    reached = np.searchsorted(np.sort(values), edges) / len(values)
    np.testing.assert_allclose(reached, np.linspace(0, 1, 33), atol=error + 1e-3)


def test_limits_missing_values_and_deviation_stay_exact_with_a_sample():
    values = np.random.default_rng(0).normal(1e6, 1.0, 5_000)
    values[:70] = np.nan
    tally = NumberTally("x", Sampling(100))
    for part in np.array_split(values, 13):
        tally.add(part, np.isnan(part))
    found, known = tally.distribution(), values[70:]
    assert found.values[[0, -1]].tolist() == [known.min(), known.max()]
    assert found.missing == 70
    assert found.deviation() == pytest.approx(known.std(), rel=1e-9)


def test_a_sample_depends_on_its_seed_and_not_on_the_chunks():
    values = np.arange(3_000.0)
    drawn = []
    for size, seed in ((10, 1), (977, 1), (977, 2)):
        reservoir = Reservoir(50, [seed])
        for start in range(0, 3_000, size):
            reservoir.add(values[start : start + size])
        drawn.append(sorted(reservoir.values))
    assert drawn[0] == drawn[1] != drawn[2]


def test_every_row_is_as_likely_to_be_drawn():
    counts = np.zeros(40)
    for seed in range(2_000):
        reservoir = Reservoir(10, [seed])
        reservoir.add(np.arange(25.0))
        reservoir.add(np.arange(25.0, 40.0))
        counts[reservoir.values.astype(int)] += 1
    # Chi-square with 39 degrees of freedom: 72.1 is passed once in 1,000 times.
    assert ((counts - 500) ** 2 / (500 * 0.75)).sum() < 72.1


def test_texts_and_dates_are_not_kept_whole():
    frame = pd.DataFrame(
        {
            "note": [f"word{i % 5} and word{i % 3} no{i}" for i in range(300)],
            "day": pd.date_range("2020-01-01", periods=300).strftime("%Y-%m-%d"),
        }
    )
    streamed = TabularFeatures.from_stream(parts(frame, 30), sample=100)
    assert [c.kind for c in streamed.columns] == ["text", "date"]
    whole = TabularFeatures.from_frame(frame)
    assert streamed.columns[0] == whole.columns[0]


@pytest.mark.parametrize("shift", [0.0, 1e9, 1e-300])
def test_moments_of_parts_add_up_to_the_last_bit(shift):
    values = np.random.default_rng(0).normal(shift, abs(shift) or 1.0, 1_000)
    values[0] = 0.0
    merged = sum(map(Moments.of, np.array_split(values[::-1], 7)), Moments())
    assert merged == Moments.of(values)
    assert merged.mean == pytest.approx(values.mean(), rel=1e-12)
    assert merged.deviation == pytest.approx(values.std(), rel=1e-12)


def test_moments_of_counted_values_are_those_of_the_rows():
    values, counts = np.array([0.1, -3.7, 1e10]), np.array([3, 1, 3])
    assert Moments.of_counted(values, counts) == Moments.of(np.repeat(values, counts))


def test_the_deviation_of_alike_values_is_zero():
    assert Moments.of(np.full(7, 0.1)).deviation == 0.0


def test_wrong_streams_are_refused(frame):
    with pytest.raises(ValueError, match="at least one row"):
        TabularFeatures.from_stream([])
    with pytest.raises(ValueError, match=r"without \['city'\] and with \[\] besides"):
        TabularFeatures.from_stream([frame, frame.drop(columns="city")])
    with pytest.raises(TypeError, match=r"'age' must hold values of one type.*text"):
        TabularFeatures.from_stream([frame, frame.assign(age="old")])
    with pytest.raises(ValueError, match="`sample` must be a positive integer"):
        TabularFeatures.from_stream([frame], sample=0)
    with pytest.raises(TypeError, match="colour"):
        TabularFeatures.from_stream([frame], colour=["city"])
