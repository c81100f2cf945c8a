"""`suggest_groups` finds what brute force finds, and what TAG published."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kmtl
from kmtl.analysis import suggest_groups
from kmtl.analysis._group_search import (
    Gain,
    _best_elsewhere,
    _exact,
    _flipped,
    _searched,
    _with_helpers,
    gains_in,
)

PUBLISHED = json.loads(
    (Path(__file__).parents[1] / "data" / "tag_affinities.json").read_text()
)
NEVER_ALONE = -1e6  # of the authors' code


def published(name):
    frame = pd.DataFrame(PUBLISHED[name])
    return frame.loc[list(frame)]


def random_affinity(count, seed=0):
    values = np.random.default_rng(seed).normal(size=(count, count))
    names = [f"t{number}" for number in range(count)]
    return pd.DataFrame(values, names, names)


def gain_in(frame, group, task, gain):
    names = list(frame)
    others = [names.index(name) for name in group if name != task]
    if not others:
        return gain.alone
    total = frame.to_numpy()[others, names.index(task)].sum()
    return total / len(others) if gain.mean else total


def partitions(names):
    """All ways to put names into groups."""
    if not names:
        yield []
        return
    first, rest = names[0], names[1:]
    for parts in partitions(rest):
        yield [[first], *parts]
        for place, part in enumerate(parts):
            yield [*parts[:place], [first, *part], *parts[place + 1 :]]


def best_partition(frame, groups, gain):
    return max(
        sum(gain_in(frame, part, task, gain) for part in parts for task in part)
        for parts in partitions(list(frame))
        if len(parts) <= groups
    )


def best_overlapping(frame, groups, gain):
    names = list(frame)
    every = [
        {task: gain_in(frame, part, task, gain) for task in part}
        for size in range(1, len(names) + 1)
        for part in itertools.combinations(names, size)
    ]
    chosen = [c for n in range(1, groups + 1) for c in itertools.combinations(every, n)]
    return max(
        sum(max(part.get(task, -np.inf) for part in parts) for task in names)
        for parts in chosen
    )


def total_by_hand(frame, found, gain):
    pairs = zip(found.groups, found.served, strict=True)
    return sum(gain_in(frame, g, task, gain) for g, served in pairs for task in served)


def suggest(frame, groups, gain, **options):
    kind = "mean" if gain.mean else "sum"
    return suggest_groups(frame, groups=groups, gain=kind, alone=gain.alone, **options)


@pytest.mark.parametrize(
    ("count", "groups"),
    [
        (1, 1),
        (2, 2),
        (5, 3),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(7, 3), (8, 4)]),
    ],
)
@pytest.mark.parametrize(
    "gain", [Gain(), Gain(0.5), Gain(NEVER_ALONE), Gain(mean=False), Gain(0.5, False)]
)
def test_a_partition_is_the_best_of_all(count, groups, gain):
    for seed in range(3):
        frame = random_affinity(count, seed)
        found = suggest(frame, groups, gain)
        assert sorted(itertools.chain(*found.groups)) == sorted(frame)
        assert len(found.groups) <= groups
        expected = best_partition(frame, groups, gain)
        assert found.total_gain == pytest.approx(expected)
        assert total_by_hand(frame, found, gain) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("count", "groups"),
    [
        (1, 1),
        (4, 2),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(5, 3), (8, 2)]),
    ],
)
@pytest.mark.parametrize("gain", [Gain(), Gain(NEVER_ALONE), Gain(mean=False)])
def test_overlapping_groups_are_the_best_of_all(count, groups, gain):
    for seed in range(3):
        frame = random_affinity(count, seed)
        found = suggest(frame, groups, gain, overlapping=True)
        assert sorted(itertools.chain(*found.served)) == sorted(frame)
        expected = best_overlapping(frame, groups, gain)
        assert found.total_gain == pytest.approx(expected)
        assert total_by_hand(frame, found, gain) == pytest.approx(expected)


# The facts: the selection of the notebook on its own affinities, as a mean over tasks.
@pytest.mark.parametrize(
    ("groups", "gain", "expected"),
    [
        (2, 0.32170, [("ss", "depth", "norm"), ("key", "edge2d")]),
        (3, 0.34867, [("ss", "depth"), ("depth", "norm"), ("key", "edge2d")]),
    ],
)
def test_taskonomy_is_grouped_as_the_authors_select(groups, gain, expected):
    frame = published("taskonomy")
    found = suggest_groups(frame, groups=groups, overlapping=True, alone=NEVER_ALONE)
    expected = {tuple(f"{name}_l" for name in group) for group in expected}
    assert set(found.groups) == expected
    assert found.gains.mean() == pytest.approx(gain, abs=5e-6)


@pytest.mark.slow
def test_celeba_is_grouped_as_the_authors_select():
    frame = published("celeba")
    found = suggest_groups(frame, groups=2, overlapping=True, alone=NEVER_ALONE)
    expected = best_overlapping(frame, 2, Gain(NEVER_ALONE))
    assert found.total_gain == pytest.approx(expected)
    assert found.groups[1] == ("5_o_Clock_Shadow", "No_Beard")
    assert found.served[1] == ("5_o_Clock_Shadow", "No_Beard")


def test_hair_and_beard_of_celeba_are_groups():
    found = suggest_groups(published("celeba"), groups=4, alone=NEVER_ALONE)
    assert set(found.groups) == {
        ("Blond_Hair", "Rosy_Cheeks", "Wearing_Hat"),
        ("5_o_Clock_Shadow", "No_Beard"),
        ("Black_Hair", "Brown_Hair"),
        ("Goatee", "Mustache"),
    }


@pytest.mark.parametrize("gain", [Gain(0.1), Gain(0.1, mean=False)])
@pytest.mark.parametrize("groups", [1, 3, 9])
def test_the_search_for_many_tasks_finds_the_best_of_few(groups, gain):
    for seed in range(4):
        values = random_affinity(9, seed).to_numpy(copy=True)
        np.fill_diagonal(values, 0.0)
        exact = _exact(values, groups, overlapping=False, gain=gain)
        searched = _searched(values, groups, gain)
        best, found = (
            gains_in(values, g, gain).max(axis=0).sum() for g in (exact, searched)
        )
        assert found == pytest.approx(best)


@pytest.mark.parametrize("gain", [Gain(), Gain(mean=False)])
def test_helpers_for_many_tasks_never_make_it_worse(gain):
    for seed in range(4):
        values = random_affinity(9, seed).to_numpy(copy=True)
        np.fill_diagonal(values, 0.0)
        exact = _exact(values, 3, overlapping=True, gain=gain)
        apart = _searched(values, 3, gain)
        helped = _with_helpers(values, apart, 3, gain)
        totals = [
            gains_in(values, members, gain).max(axis=0).sum()
            for members in (apart, helped, exact)
        ]
        assert totals[0] <= totals[1] <= totals[2] + 1e-9
        assert totals[1] > 0.7 * totals[2]


def planted(count=100, groups=7, noise=0.8):
    place = np.arange(count) % groups
    frame = random_affinity(count)
    return place, (place[:, None] == place) + noise * frame


def test_a_hundred_tasks_take_seconds_and_planted_groups_are_found():
    place, frame = planted()
    start = time.perf_counter()
    found = suggest_groups(frame, groups=7)
    assert time.perf_counter() - start < 20
    expected = {tuple(frame.columns[place == group]) for group in range(7)}
    assert set(found.groups) == expected
    assert found.total_gain == pytest.approx(total_by_hand(frame, found, Gain()))


@pytest.mark.slow
def test_a_hundred_tasks_may_overlap():
    _, frame = planted()
    apart = suggest_groups(frame, groups=7)
    found = suggest_groups(frame, groups=7, overlapping=True)
    assert found.total_gain >= apart.total_gain
    assert sorted(itertools.chain(*found.served)) == sorted(frame)


def test_the_diagonal_and_the_order_of_tasks_do_not_matter():
    frame = random_affinity(6)
    order = list(reversed(frame.columns))
    other = frame.loc[order, order] + 100 * np.eye(6)
    ours, theirs = (suggest_groups(f, groups=3) for f in (frame, other))
    assert {frozenset(g) for g in ours.groups} == {frozenset(g) for g in theirs.groups}
    assert ours.gains.to_dict() == pytest.approx(theirs.gains.to_dict())


def test_fewer_groups_are_suggested_where_that_is_better():
    frame = random_affinity(5) ** 2
    everyone_helps = frame * 0 + 1.0
    assert len(suggest_groups(everyone_helps, groups=5).groups) == 1
    nobody_helps = suggest_groups(-frame - 1.0, groups=9)
    assert len(nobody_helps.groups) == 5
    assert nobody_helps.total_gain == 0.0


def test_a_task_that_many_help_a_little_joins_them_by_the_sum():
    names = ["a", "b", "c", "d"]
    frame = pd.DataFrame(np.ones((4, 4)), names, names)
    frame.loc[["a", "b"], ["a", "b"]] = 2.5
    by_mean = suggest_groups(frame, groups=2)
    assert by_mean.groups == (("a", "b"), ("c", "d"))
    by_sum = suggest_groups(frame, groups=2, gain="sum")
    assert by_sum.groups == (("a", "b", "c", "d"),)
    assert by_sum.gains.tolist() == [4.5, 4.5, 3.0, 3.0]


def test_the_groups_are_those_of_a_branched_network():
    found = suggest_groups(random_affinity(4), groups=2)
    tasks = [kmtl.BinaryTask(name) for name in found.gains.index]
    sharing = kmtl.sharing.Branched(found.groups)
    trunk = kmtl.trunks.MLP([4, 4])
    model = kmtl.build_mtl_model((3,), tasks, trunk=trunk, sharing=sharing)
    assert model.task_names == list(found.gains.index)


def unknown_pair():
    frame = random_affinity(3)
    frame.loc["t0", "t1"] = np.nan
    return frame


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (random_affinity(3).iloc[:2], {}, "same tasks as rows and as columns"),
        (random_affinity(3).iloc[::-1], {}, "in the same order"),
        (pd.DataFrame(), {}, "Received: rows \\[\\]"),
        (
            random_affinity(2).set_axis(["a", "a"]).set_axis(["a", "a"], axis=1),
            {},
            "uni",
        ),
        (unknown_pair(), {}, r"\('t0', 't1'\)\].* `affinity.fillna\(0.0\)"),
        (random_affinity(3), {"groups": 0}, "`groups` must be a positive integer"),
        (random_affinity(3), {"alone": None}, "`alone` must be a finite number"),
        (random_affinity(3), {"gain": "median"}, "`gain` must be .*'sum'.*'median'"),
        (random_affinity(3), {"overlapping": 1}, "`overlapping` must be True or False"),
    ],
)
def test_wrong_arguments_are_refused(frame, options, message):
    with pytest.raises(ValueError, match=message):
        suggest_groups(frame, **{"groups": 2, **options})


def test_what_is_no_frame_is_refused():
    with pytest.raises(TypeError, match="must be what `task_affinity` returns"):
        suggest_groups(np.eye(2), groups=2)


def test_a_change_of_a_group_is_worth_what_it_is_anew():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 6)) * ~np.eye(6, dtype=bool)
    members = rng.random((3, 6)) < 0.5
    gain = Gain(0.1)
    elsewhere = _best_elsewhere(gains_in(values, members, gain))
    for group in range(3):
        found = _flipped(values, members[group], elsewhere[group], gain)
        for task in range(6):
            changed = members.copy()
            changed[group, task] ^= True
            expected = gains_in(values, changed, gain).max(axis=0).sum()
            np.testing.assert_allclose(found[task], expected)
