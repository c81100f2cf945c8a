"""Parts that are fair to every task."""

import numpy as np
import pandas as pd
import pytest

import kmtl
from kmtl.data import split

NAN = float("nan")
SHARES = (0.8, 0.1, 0.1)
SICK = kmtl.BinaryTask("sick")


def deviation(frame, parts, shares, column):
    """Rows of each label, missing ones too, in each part beyond its share."""
    whole = frame[column].value_counts(dropna=False)
    columns = [
        p[column].value_counts(dropna=False).reindex(whole.index, fill_value=0)
        - whole * s
        for p, s in zip(parts, shares, strict=True)
    ]
    return np.stack(columns, axis=1)


def furthest(frame, parts, shares, columns):
    """The largest number of rows by which a label is off."""
    return max(abs(deviation(frame, parts, shares, c)).max() for c in columns)


def at_random(frame, shares):
    order = np.random.default_rng(0).permutation(len(frame))
    ends = (np.cumsum(shares)[:-1] * len(frame)).astype(int)
    return [frame.iloc[rows] for rows in np.split(order, ends)]


@pytest.fixture(scope="module")
def census():
    """Three tasks of one table that depend on each other, one rare class."""
    rng = np.random.default_rng(0)
    age = rng.integers(0, 90, 5000)
    return pd.DataFrame(
        {
            "age": age,
            "marital": np.where(
                age < 18, "single", rng.choice(["single", "a", "b"], 5000)
            ),
            "rich": np.where((age > 30) & (rng.random(5000) < 0.01), "yes", "no"),
        }
    )


CENSUS = [
    kmtl.BinaryTask("rich", positive="yes"),
    kmtl.MulticlassTask("marital"),
    kmtl.RegressionTask("age"),
]


@pytest.fixture(scope="module")
def sparse():
    """Tasks with few labels, and of these few positive."""
    rng = np.random.default_rng(0)
    labels = (rng.random((2000, 40)) < 0.1).astype("float64")
    labels[rng.random(labels.shape) < 0.8] = NAN
    return pd.DataFrame(labels, columns=[f"t{i}" for i in range(40)])


@pytest.fixture(scope="module")
def sparse_parts(sparse):
    return split(sparse, [kmtl.BinaryTask(name) for name in sparse], SHARES)


def test_every_row_is_in_one_part_in_order_and_with_its_index(census):
    frame = census.iloc[::-1]
    parts = split(frame, CENSUS, SHARES)
    assert [len(part) for part in parts] == [4000, 500, 500]
    pd.testing.assert_frame_equal(pd.concat(parts).sort_index(ascending=False), frame)
    assert all(part.index.is_monotonic_decreasing for part in parts)


def test_repeated_index_values_do_not_matter():
    frame = pd.DataFrame({"sick": [0, 1] * 10, "row": range(20)}, index=[7] * 20)
    parts = split(frame, [SICK], (0.5, 0.5))
    assert sorted(pd.concat(parts)["row"]) == list(range(20))


def test_counts_of_one_task_are_exact_where_they_can_be():
    frame = pd.DataFrame({"sick": [1] * 10 + [0] * 80 + [NAN] * 10})
    counts = [
        p["sick"].value_counts(dropna=False) for p in split(frame, [SICK], SHARES)
    ]
    assert [[c[1], c[0], c[NAN]] for c in counts] == [[8, 64, 8], [1, 8, 1], [1, 8, 1]]


def test_two_tasks_that_only_joint_counting_balances():
    # Of each pair of labels there is one row a part.
    frame = pd.DataFrame({"a": [0, 0, 1, 1] * 2, "b": [0, 1, 0, 1] * 2})
    tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
    for part in split(frame, tasks, (0.5, 0.5)):
        assert sorted(zip(part["a"], part["b"], strict=True)) == [
            (0, 0), (0, 1), (1, 0), (1, 1),
        ]  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("shares", [(0.7, 0.3), SHARES, (0.4, 0.3, 0.2, 0.1)])
def test_classes_of_one_task_are_within_a_row(classes, shares):
    rng = np.random.default_rng(classes)
    frame = pd.DataFrame(
        {"t": rng.choice(classes, 203, p=rng.dirichlet([2] * classes))}
    )
    parts = split(frame, [kmtl.MulticlassTask("t")], shares)
    assert furthest(frame, parts, shares, ["t"]) < 1


def test_all_labels_of_dense_tasks_are_within_a_row(census):
    parts = split(census, CENSUS, SHARES)
    tenths = census["age"].quantile(np.arange(1, 10) / 10)
    bins = pd.cut(census["age"], [-np.inf, *tenths, np.inf], right=False)
    frame = census.assign(age=bins)
    parts = [frame.loc[part.index] for part in parts]
    assert furthest(frame, parts, SHARES, ["rich", "marital", "age"]) <= 1
    assert furthest(frame, at_random(frame, SHARES), SHARES, ["marital", "age"]) > 5


def test_labels_of_sparse_tasks_are_near_their_shares(sparse, sparse_parts):
    assert furthest(sparse, sparse_parts, SHARES, sparse.columns) <= 2
    assert furthest(sparse, at_random(sparse, SHARES), SHARES, sparse.columns) > 8


def test_every_part_has_positives_of_tasks_that_have_enough(sparse, sparse_parts):
    often = sparse.columns[sparse.sum() >= 20]
    assert len(often)
    assert all((part[often].sum() >= 1).all() for part in sparse_parts)


def test_rare_classes_are_not_all_in_the_largest_part():
    # One by one, each class of one row would round to the part of eight tenths.
    frame = pd.DataFrame({"t": [*range(100), *[-1] * 900]})
    parts = split(frame, [kmtl.MulticlassTask("t")], SHARES)
    assert [(part["t"] >= 0).sum() for part in parts] == [80, 10, 10]


def test_numbers_are_spread_by_quantiles(census):
    parts = split(census, CENSUS[2:], SHARES)
    quantiles = [0.1, 0.3, 0.5, 0.7, 0.9]
    expected = census["age"].quantile(quantiles)
    for part in parts:
        np.testing.assert_allclose(part["age"].quantile(quantiles), expected, atol=4)


def test_few_numbers_make_few_bins():
    frame = pd.DataFrame({"t": [1.0, 2.0, 3.0, 4.0] + [NAN] * 36})
    parts = split(frame, [kmtl.RegressionTask("t")], (0.5, 0.5))
    assert [part["t"].notna().sum() for part in parts] == [2, 2]


def test_a_value_can_mean_missing():
    frame = pd.DataFrame({"t": [-1.0] * 10 + [0.0] * 10 + [1.0] * 10})
    parts = split(frame, [kmtl.BinaryTask("t", missing=-1)], (0.5, 0.5))
    assert [(part["t"] == -1).sum() for part in parts] == [5, 5]


def test_labels_count_where_their_condition_holds():
    frame = pd.DataFrame(
        {"click": [1] * 20 + [0] * 60, "buy": ([0, 1] * 10) + [0, 1] * 30}
    )
    tasks = [
        kmtl.BinaryTask("ctr", label="click"),
        kmtl.BinaryTask("cvr", label="buy", only_if="ctr"),
    ]
    parts = split(frame, tasks, (0.8, 0.2))
    assert [(p["click"] * p["buy"]).sum() for p in parts] == [8, 2]
    assert [p["click"].sum() for p in parts] == [16, 4]


def test_the_seed_decides(census):
    first, again = (split(census, CENSUS, SHARES, seed=1)[2] for _ in range(2))
    other = split(census, CENSUS, SHARES, seed=2)[2]
    assert first.index.equals(again.index)
    assert len(first.index.intersection(other.index)) < 100  # 50 expected by chance


def test_the_order_of_tasks_does_not_matter(census):
    ahead, back = (split(census, t, SHARES)[1] for t in (CENSUS, CENSUS[::-1]))
    assert ahead.index.equals(back.index)


def test_one_task_is_as_near_as_scikit_learn(census):
    selection = pytest.importorskip("sklearn.model_selection")
    theirs = selection.StratifiedShuffleSplit(1, test_size=0.3, random_state=0)
    rows = next(theirs.split(census, census["marital"]))
    ours = split(census, [CENSUS[1]], (0.7, 0.3))
    args = (0.7, 0.3), ["marital"]
    assert furthest(census, ours, *args) <= furthest(
        census, [census.iloc[r] for r in rows], *args
    )


def test_groups_stay_together(census):
    frame = census.assign(user=np.random.default_rng(0).integers(0, 800, 5000))
    parts = split(frame, CENSUS, SHARES, groups="user")
    users = [set(part["user"]) for part in parts]
    assert sum(map(len, users)) == frame["user"].nunique()
    assert furthest(frame, parts, SHARES, ["rich", "marital"]) <= 3
    assert abs(np.array([len(p) for p in parts]) - [4000, 500, 500]).max() <= 3


def test_groups_of_one_row_are_rows(census):
    frame = census.assign(user=range(5000))
    parts = split(frame, CENSUS, SHARES, groups="user")
    assert furthest(frame, parts, SHARES, ["rich", "marital"]) <= 1


def test_large_groups_go_where_there_is_room():
    frame = pd.DataFrame({"g": ["a"] * 16 + ["b"] * 2 + ["c"] * 2, "sick": [0, 1] * 10})
    parts = split(frame, [SICK], SHARES, groups="g")
    assert set(parts[0]["g"]) == {"a"}


def test_every_part_has_a_group():
    frame = pd.DataFrame(
        {"g": ["a"] * 34 + ["b"] * 33 + ["c"] * 33, "sick": [0, 1] * 50}
    )
    parts = split(frame, [SICK], SHARES, groups="g")
    assert [part["g"].nunique() for part in parts] == [1, 1, 1]


def test_a_class_that_one_group_holds_leaves_the_others_to_balance():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": rng.integers(0, 300, 3000), "t": rng.choice(2, 3000)})
    frame.loc[frame["g"] == 0, "t"] = 2
    parts = split(frame, [kmtl.MulticlassTask("t")], SHARES, groups="g")
    assert sorted((part["t"] == 2).any() for part in parts) == [False, False, True]
    assert abs(deviation(frame, parts, SHARES, "t")[:2]).max() <= 5


DAYS = pd.date_range("2024-01-01", periods=10)


@pytest.mark.parametrize(
    "times",
    [DAYS, DAYS.tz_localize("UTC"), DAYS.to_period("D"), range(10), DAYS - DAYS[0]],
)
def test_parts_follow_each_other_in_time(times):
    order = np.random.default_rng(0).permutation(10)
    frame = pd.DataFrame({"t": times, "sick": [0, 1] * 5}).iloc[order]
    early, middle, late = split(frame, [SICK], (0.6, 0.2, 0.2), time="t")
    assert [sorted(p.index) for p in (early, middle, late)] == [
        [*range(6)],
        [6, 7],
        [8, 9],
    ]
    assert list(early.index) == [row for row in order if row < 6]


def test_equal_times_stay_together():
    frame = pd.DataFrame({"t": [1, 1, 1, 2, 2, 2, 2, 3, 3, 3], "sick": [0, 1] * 5})
    parts = split(
        frame, [SICK], (0.5, 0.5), time="t"
    )  # 3 or 7 rows: as near, the first
    assert [set(part["t"]) for part in parts] == [{1}, {2, 3}]


def test_every_part_has_a_time():
    frame = pd.DataFrame({"t": [1] * 18 + [2, 3], "sick": [0, 1] * 10})
    parts = split(frame, [SICK], (0.2, 0.2, 0.6), time="t")
    assert [set(part["t"]) for part in parts] == [{1}, {2}, {3}]


def test_a_cut_in_time_goes_through_no_group():
    frame = pd.DataFrame({"t": range(6), "g": list("aabbbc"), "sick": [0, 1] * 3})
    early, late = split(frame, [SICK], (0.5, 0.5), time="t", groups="g")
    assert [set(early["g"]), set(late["g"])] == [{"a"}, {"b", "c"}]


def test_groups_that_overlap_in_time_are_an_error():
    frame = pd.DataFrame({"t": range(4), "g": list("abab"), "sick": [0, 1] * 2})
    with pytest.raises(
        ValueError, match=r"leave 1 times .* Received: 0, .* one of the"
    ):
        split(frame, [SICK], (0.5, 0.5), time="t", groups="g")


FRAME = pd.DataFrame(
    {
        "sick": [0, 1] * 5,
        "user": [*range(9), None],
        "one": 1,
        "day": ["2024-01-01"] * 10,
        "when": [1.0] * 9 + [NAN],
    }
)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.8, 0.1), r"must sum to 1. Received: \(0.8, 0.1\), which sum to 0.9"),
        ((1.0,), r"two or more numbers between 0 and 1"),
        ((1.2, -0.2), r"two or more numbers between 0 and 1"),
        ((0.5, "half"), r"two or more numbers between 0 and 1"),
        (0.8, r"`shares` must be a list. Received: 0.8"),
        ((0.98, 0.02), r"a row for each part, by its share. Received: 10 rows"),
        ((1 / 11,) * 11, r"a row for each part, by its share. Received: 10 rows"),
    ],
)
def test_shares_are_checked(shares, message):
    with pytest.raises(ValueError, match=message):
        split(FRAME, [SICK], shares)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": "usr"}, r"unknown column. Received: 'usr'. Did you mean 'user'\?"),
        ({"time": "wen"}, r"unknown column. Received: 'wen'. Did you mean 'when'\?"),
        ({"groups": ["user"]}, r"`groups` must name a column. Received: \['user'\]"),
        ({"groups": "user"}, r"value in every row. .* in 1 rows, the first is row 9"),
        ({"time": "when"}, r"value in every row. .* in 1 rows, the first is row 9"),
        ({"groups": "one"}, r"as many values as there are parts, 2. .* 'one' with 1"),
        ({"time": "one"}, r"as many values as there are parts, 2. .* 'one' with 1"),
        ({"time": "day"}, r"dates or numbers. .* dtype str. Convert .*pd.to_datetime"),
        ({"seed": -1}, r"`seed` must be an integer of at least 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        split(FRAME, [SICK], (0.5, 0.5), **options)


def test_label_columns_are_checked():
    with pytest.raises(ValueError, match=r"`label of task 's'` .* 'sic'. Did you mean"):
        split(FRAME, [kmtl.BinaryTask("s", label="sic")], (0.5, 0.5))


def test_an_empty_frame_is_an_error():
    with pytest.raises(ValueError, match="at least one row"):
        split(FRAME.iloc[:0], [SICK], (0.5, 0.5))


def test_a_task_without_labels_is_an_error():
    with pytest.raises(ValueError, match=r"Every label of task 't' is missing"):
        split(FRAME.assign(t=NAN), [SICK, kmtl.BinaryTask("t")], (0.5, 0.5))
