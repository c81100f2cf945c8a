"""Frames whose rows belong to one task each."""

import numpy as np
import pandas as pd
import pytest

import kmtl
from kmtl.data import pivot_labels, rows_by_task
from kmtl.data._task_column import name_of

FRAME = pd.DataFrame(
    {"x": [1, 2, 3, 4], "school": [10, 2, 10, 2], "score": [5.0, 6.0, 7.0, np.nan]},
    index=[7, 7, 8, 9],
)
NAMES = {"task": "school", "label": "score"}


def test_each_task_gets_a_column():
    expected = pd.DataFrame(
        {
            "x": [1, 2, 3, 4],
            "2": [np.nan, 6.0, np.nan, np.nan],
            "10": [5.0, np.nan, 7.0, np.nan],
        },
        index=FRAME.index,
    )
    pd.testing.assert_frame_equal(pivot_labels(FRAME, **NAMES), expected)


@pytest.mark.parametrize("kind", ["float64", "str", "category"])
def test_tasks_are_named_alike_whatever_the_dtype(kind):
    frame = FRAME.assign(school=FRAME["school"].astype(kind))
    names = [c.removesuffix(".0") for c in pivot_labels(frame, **NAMES).columns]
    assert names == ["x", "2", "10"]


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int8(2), "2"])
def test_a_value_names_one_task_whatever_its_type(value):
    assert name_of(value) == "2"


def test_labels_of_text_stay_text():
    frame = FRAME.assign(score=["no", "yes", "yes", "no"])
    assert pivot_labels(frame, **NAMES)["10"].dropna().tolist() == ["no", "yes"]


def test_rows_and_labels_by_task():
    data = rows_by_task(FRAME, **NAMES)
    assert list(data) == ["2", "10"]
    x, y = data["10"]
    assert x.columns.tolist() == ["x"]
    assert (x["x"].tolist(), y.tolist()) == ([1, 3], [5.0, 7.0])


def test_tasks_may_be_given_in_an_order_of_their_own():
    tasks = [kmtl.RegressionTask("10"), kmtl.RegressionTask("2")]
    assert list(rows_by_task(FRAME, tasks=tasks, **NAMES)) == ["10", "2"]


def test_a_task_without_rows_has_a_column_without_labels():
    wide = pivot_labels(FRAME, tasks=["2", "10", "11"], **NAMES)
    assert wide["11"].isna().all()


WRONG = {
    "unknown": (FRAME, {"tasks": ["2", "100"]}, "'10' in 2 rows. Did you mean '100'"),
    "missing": (FRAME.assign(school=[1, None, 1, 1]), {}, "1 rows .* first in row 1"),
    "task": (FRAME, {"task": "shool"}, "`task` names no column.*mean 'school'"),
    "label": (FRAME, {"label": "mark"}, "`label` names no column"),
    "two types": (FRAME.assign(school=[1, "1", 2, 2]), {}, "1 and '1', which both"),
    "empty": (FRAME.iloc[:0], {}, "at least one row"),
    "no frame": ([1], {}, "`frame` must be a DataFrame"),
}


@pytest.mark.parametrize("function", [pivot_labels, rows_by_task])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_frames(name, function):
    frame, options, message = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=message):
        function(frame, **{**NAMES, **options})


def test_a_task_is_not_named_as_a_column():
    with pytest.raises(ValueError, match=r"name of a column.*'x'"):
        pivot_labels(FRAME.assign(school="x"), **NAMES)


def test_a_task_that_is_given_needs_rows():
    with pytest.raises(ValueError, match=r"no rows of \['11'\]"):
        rows_by_task(FRAME, tasks=["2", "10", "11"], **NAMES)


@pytest.fixture
def files(tmp_path):
    """The rows twice, in two files."""
    for name in ("one", "two"):
        FRAME.to_parquet(tmp_path / f"{name}.parquet")
    return kmtl.data.read_parquet(tmp_path / "*.parquet", chunk_rows=3)


def test_files_get_a_column_for_each_task(files):
    wide = pivot_labels(files, tasks=["2", "10"], **NAMES)
    assert wide.column_names() == ["x", "2", "10"]
    frame = pivot_labels(pd.concat([FRAME, FRAME]), **NAMES)
    found = pd.concat(list(wide))
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), frame.reset_index(drop=True)
    )
    assert (wide.rows, wide.count({"x"})) == (8, 8)
    [labels, *_] = wide.frames({"10"})
    assert labels["10"].tolist()[0] == 5.0


def test_files_train_as_the_wide_table(files):
    wide = pivot_labels(files, tasks=["2", "10"], **NAMES)
    tasks = [kmtl.RegressionTask(name) for name in ("2", "10")]
    found, expected = (
        kmtl.build_mtl_model(data, tasks).outputs_layer.label_statistics_on_host()
        for data in (wide, pivot_labels(FRAME, **NAMES))
    )
    np.testing.assert_allclose(found, expected)


WRONG_FILES = {
    "no tasks": ({}, "`tasks` must be given for a table in files"),
    "unknown": ({"tasks": ["2", "100"]}, "one.parquet.*'10' in 2 rows. Did you mean"),
    "task": ({"tasks": ["2"], "task": "shool"}, "`task` names no column.*'school'"),
    "named": ({"tasks": ["2", "x"]}, r"name of a column.*'x'"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_wrong_files(files, name):
    options, message = WRONG_FILES[name]
    with pytest.raises(ValueError, match=message):
        list(pivot_labels(files, **{**NAMES, **options}))


ROWS_IN_FILES = {
    "one group": (8, "rows 6 to 7: .*1 rows without one, the first in row 7"),
    "two groups": (4, "rows 3 to 3 from row group 1 on: .*, the first in row 3"),
}


@pytest.mark.parametrize("groups", ROWS_IN_FILES)
def test_rows_of_files_are_counted_as_they_lie_there(tmp_path, groups):
    size, message = ROWS_IN_FILES[groups]
    frame = pd.concat([FRAME, FRAME], ignore_index=True)
    frame.loc[7, "school"] = None
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=size)
    source = kmtl.data.read_parquet(tmp_path / "rows.parquet", chunk_rows=3)
    with pytest.raises(ValueError, match=message):
        list(pivot_labels(source, tasks=["2", "10"], **NAMES))
