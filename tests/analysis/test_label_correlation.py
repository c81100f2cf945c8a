"""`label_correlation` agrees with pandas and SciPy, over the rows both tasks have."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.stats.contingency import association, crosstab

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask
from kmtl.analysis import label_correlation

NAMES = ["sick", "old", "place", "kind", "height"]


def some_frame(rows=300):
    rng = np.random.default_rng(0)
    sick = rng.integers(0, 2, rows).astype(float)
    kind = np.where(sick == 1, 2, rng.integers(0, 3, rows)).astype(float)
    columns = {
        "sick": sick,
        "old": np.where(rng.random(rows) < 0.7, sick, 1 - sick),
        "place": rng.choice(list("xyz"), rows),
        "kind": kind,
        "height": 1e6 + kind + rng.normal(size=rows),
    }
    frame = pd.DataFrame(columns).mask(rng.random((rows, 5)) < 0.2)
    return frame.assign(weight=rng.normal(size=rows))


@pytest.fixture(scope="module")
def frame():
    return some_frame()


@pytest.fixture(scope="module")
def model(frame):
    tasks = [
        BinaryTask("sick"),
        BinaryTask("old"),
        MulticlassTask("place"),
        MulticlassTask("kind"),
        RegressionTask("height"),
    ]
    return kmtl.build_mtl_model(frame, tasks)


@pytest.fixture(scope="module")
def found(model, frame):
    return label_correlation(model, frame)


def cramers_v(frame, one, other):
    both = frame[[one, other]].dropna()
    _, counts = crosstab(both[one], both[other])
    return association(counts, method="cramer")


def test_numbers_and_binary_labels_have_pearsons(found, frame):
    names = ["sick", "old", "height"]
    expected = frame[names].corr()
    np.testing.assert_allclose(found.correlation.loc[names, names], expected, rtol=1e-8)


@pytest.mark.parametrize("pair", [("sick", "kind"), ("place", "kind")])
def test_classes_have_cramers_v(found, frame, pair):
    one, other = pair
    expected = cramers_v(frame, one, other)
    assert found.correlation.loc[one, other] == pytest.approx(expected)
    assert found.correlation.loc[other, one] == pytest.approx(expected)


def test_classes_and_numbers_have_the_correlation_ratio(found, frame):
    both = frame[["kind", "height"]].dropna()
    groups = both.groupby("kind")["height"]
    between = (groups.size() * (groups.mean() - both["height"].mean()) ** 2).sum()
    total = ((both["height"] - both["height"].mean()) ** 2).sum()
    ratio = found.correlation.loc["kind", "height"]
    assert ratio == pytest.approx(np.sqrt(between / total), rel=1e-6)


def test_overlap_is_the_share_of_rows_that_both_have(found, frame):
    known = frame[NAMES].notna().to_numpy(float)
    np.testing.assert_allclose(found.overlap, known.T @ known / len(frame))
    assert list(found.overlap.index) == list(found.overlap) == NAMES


def test_labels_without_inputs_and_datasets_give_the_same(model, found, frame):
    small = kmtl.build_mtl_model((1,), model.tasks)
    labels = {name: frame[name] for name in NAMES}
    dataset = tf.data.Dataset.from_tensor_slices(
        (
            frame[["weight"]].to_numpy("float32"),
            {n: frame[n] for n in NAMES if n != "place"},
        )
    )
    by_labels = label_correlation(small, None, labels)
    pd.testing.assert_frame_equal(by_labels.correlation, found.correlation)
    read = label_correlation(small, dataset.batch(64)).correlation
    rest = [name for name in NAMES if name != "place"]
    pd.testing.assert_frame_equal(
        read.loc[rest, rest], found.correlation.loc[rest, rest]
    )
    assert read["place"].isna().all()


def test_files_and_samplers_give_the_same(model, found, frame, tmp_path):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    source = kmtl.data.read_csv(tmp_path / "rows.csv")
    pd.testing.assert_frame_equal(
        label_correlation(model, source).correlation, found.correlation
    )
    inputs = ["weight"]
    parts = {name: frame[[*inputs, name]].dropna(subset=[name]) for name in NAMES}
    sampled = label_correlation(model, kmtl.data.sample_tasks(parts))
    others = ~np.eye(5, dtype=bool)
    assert (sampled.overlap.to_numpy()[others] == 0).all()
    assert sampled.correlation.isna().to_numpy()[others].all()


def test_what_does_not_vary_or_is_no_number_has_none():
    tasks = [BinaryTask("a"), RegressionTask("b"), MulticlassTask("c", classes=2)]
    model = kmtl.build_mtl_model((2,), tasks)
    y = {"a": [0, 1, 1, np.nan], "b": [3.0, 3.0, 3.0, 1.0], "c": [0, 0, 0, 1]}
    found = label_correlation(model, None, y).correlation
    expected = [[False, True, True], [True, False, False], [True, False, False]]
    np.testing.assert_array_equal(found.isna(), expected)


def test_what_varies_only_where_the_other_has_no_label_has_none():
    model = kmtl.build_mtl_model((2,), [RegressionTask("a"), RegressionTask("b")])
    y = {"a": [0.1] * 7 + [5.3], "b": [*range(7), np.nan]}
    assert np.isnan(label_correlation(model, None, y).correlation.loc["a", "b"])


def test_it_needs_no_shared_weights():
    tasks = [BinaryTask("a"), BinaryTask("b")]
    soft = kmtl.sharing.Soft()
    model = kmtl.build_mtl_model((2,), tasks, sharing=soft, trunk=kmtl.trunks.MLP([4]))
    found = label_correlation(model, None, {"a": [0, 1, 1, 0], "b": [1, 0, 0, 1]})
    assert found.correlation.loc["a", "b"] == pytest.approx(-1.0)


def test_wrong_arguments_are_refused(model, frame):
    with pytest.raises(TypeError, match="`model` must be an MTLModel"):
        label_correlation(frame, model)
    with pytest.raises(ValueError, match=r"unknown task.*Did you mean 'sick'"):
        label_correlation(model, None, {"sik": [0, 1]})
    with pytest.raises(ValueError, match="`y` must be given"):
        label_correlation(model, frame["weight"].to_numpy())
