"""Which rows `sample_tasks` draws, and how often."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kmtl.data import sample_tasks

SIZES = {"large": 700, "middle": 200, "small": 13}


def rows(count):
    return np.arange(2.0 * count).reshape(count, 2), np.arange(count) % 2


DATA = {task: rows(count) for task, count in SIZES.items()}
STRATEGIES = {
    "proportional": {},
    "uniform": {},
    "sqrt": {},
    "temperature": {"temperature": 3},
    "annealed": {"anneal_epochs": 3},
}


def sampler(strategy="proportional", **options):
    return sample_tasks(DATA, strategy, **{"batch_size": 50, **options})


def drawn(found, epochs):
    """The draws of some epochs, with the number of each."""
    return pd.concat([found.draws(e).assign(epoch=e) for e in epochs])


def times_seen(draws):
    """How often each row was drawn, those drawn at least once."""
    return draws.groupby(["task", "row"]).size()


@pytest.mark.parametrize("mixed", [True, False])
def test_proportional_draws_every_row_once(mixed):
    draws = sampler(mixed=mixed).draws()
    assert times_seen(draws).to_dict() == {
        (task, row): 1 for task, count in SIZES.items() for row in range(count)
    }


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_draws_are_what_the_table_tells(strategy, mixed):
    found = sampler(strategy, mixed=mixed, **STRATEGIES[strategy])
    table = found.table(epoch=2)
    draws = found.draws(epoch=2)
    assert draws["task"].value_counts().to_dict() == table["rows"].to_dict()
    assert draws["batch"].nunique() == found.steps


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_shares_are_exact_in_every_epoch(strategy):
    table = sampler(strategy, **STRATEGIES[strategy]).table(epoch=1)
    expected = table["probability"] * sum(SIZES.values())
    assert (table["rows"] - expected).abs().max() < 1


def test_one_task_a_batch_has_exact_shares_of_batches():
    found = sampler("uniform", mixed=False, steps=30)
    batches = found.draws().groupby("batch")["task"]
    assert batches.nunique().eq(1).all()
    assert batches.first().value_counts().to_dict() == dict.fromkeys(SIZES, 10)


def test_every_batch_holds_tasks_by_their_shares():
    found = sampler("sqrt")
    counts = found.draws().groupby("batch")["task"].value_counts().unstack()[:-1]
    expected = found.table()["probability"] * 50
    assert (counts - expected).abs().max().max() <= 3


def test_rows_of_a_pass_come_once_and_passes_go_on_over_epochs():
    draws = drawn(sampler("uniform", steps=3, seed=4), range(7))
    small = draws[draws["task"] == "small"]["row"].to_numpy()
    passes = small[: len(small) // 13 * 13].reshape(-1, 13)
    np.testing.assert_array_equal(np.sort(passes), np.tile(np.arange(13), (26, 1)))
    assert len(np.unique(passes, axis=0)) == 26  # in another order each


def test_no_task_starves():
    found = sampler("proportional", steps=1, batch_size=8)
    assert found.table()["rows"].to_dict() == {"large": 6, "middle": 1, "small": 1}


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("max_repeats", [1, 2.5, 4])
def test_max_repeats_holds_on_average_over_epochs(mixed, max_repeats):
    options = {"max_repeats": max_repeats, "mixed": mixed}
    found = sampler("uniform", **options)
    seen = times_seen(drawn(found, range(4)))
    assert seen.max() <= 4 * max_repeats
    assert found.table()["rows"].sum() <= sum(SIZES.values())


def test_what_max_repeats_leaves_goes_to_the_others():
    table = sampler("uniform", max_repeats=2).table()
    assert table["rows"].to_dict() == {"large": 487, "middle": 400, "small": 26}


def test_large_tasks_first_then_the_mixture():
    found = sampler("uniform", starts={"small": 2, "middle": 2}, steps=6)
    rows = [found.table(epoch)["rows"].tolist() for epoch in range(3)]
    assert rows == [[300, 0, 0], [300, 0, 0], [100, 100, 100]]


def test_annealing_moves_shares_towards_small_tasks():
    found = sampler("annealed", anneal_epochs=4)
    small = [found.table(epoch)["probability"]["small"] for epoch in range(4)]
    assert small == sorted(small)
    np.testing.assert_allclose(small[0], 13 / 913)


def test_draws_follow_from_seed_and_epoch():
    first, again = sampler("sqrt", seed=3), sampler("sqrt", seed=3)
    pd.testing.assert_frame_equal(first.draws(5), again.draws(5))
    assert not first.draws(5).equals(first.draws(6))
    assert not first.draws(5).equals(sampler("sqrt", seed=4).draws(5))


def test_a_task_is_shuffled_alike_whatever_tasks_there_are():
    alone = sample_tasks({"small": DATA["small"]}).draws()["row"]
    among = sampler().draws().query("task == 'small'")["row"]
    np.testing.assert_array_equal(alone, among)


def test_chi_square_of_batches_is_as_small_as_of_exact_shares():
    found = sampler("temperature", temperature=2)
    counts = drawn(found, range(10))["task"].value_counts()
    expected = found.table()["probability"] * counts.sum()
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 0.05  # 2 degrees of freedom: random draws give 2 on average


def test_datasets_are_counted():
    datasets = {
        "rows": tf.data.Dataset.from_tensor_slices(rows(5)),
        "batches": tf.data.Dataset.from_tensor_slices(rows(11)).batch(3),
        "unknown": tf.data.Dataset.from_generator(
            lambda: zip(*rows(4), strict=True),
            output_signature=(
                tf.TensorSpec((2,), "float64"),
                tf.TensorSpec((), "int64"),
            ),
        ),
    }
    assert sample_tasks(datasets).table()["size"].to_dict() == {
        "rows": 5,
        "batches": 11,
        "unknown": 4,
    }


def test_an_endless_dataset_has_no_size():
    endless = tf.data.Dataset.from_tensor_slices(rows(5)).repeat()
    table = sample_tasks({"a": endless}, "uniform", batch_size=4, steps=2).table()
    assert table.loc["a", "rows"] == 8
    assert table[["size", "passes"]].isna().all(axis=None)


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts)


X, Y = rows(4)
WRONG = {
    "no task": ({}, {}, "must hold the data of a task"),
    "no dict": ([(X, Y)], {}, "must be a dict"),
    "no rows": ({"a": (X[:0], Y[:0])}, {}, "task 'a' must hold at least one row"),
    "empty frame": ({"a": pd.DataFrame()}, {}, "task 'a' must hold at least one row"),
    "empty dataset": ({"a": dataset(X, Y).take(0)}, {}, "'a' must hold at least one"),
    "no data": ({"a": 3}, {}, "task 'a' must be a DataFrame"),
    "no labels": ({"a": (X, None)}, {}, "task 'a' must hold labels"),
    "unknown rank": (
        {"a": tf.data.Dataset.from_generator(list, output_types=("float32",) * 2)},
        {},
        "'a' must .* rows from batches. Received: labels of unknown rank. Name",
    ),
    "dataset without labels": ({"a": dataset(X)}, {}, r"'a' must be a dataset of \(x"),
    "lengths": ({"a": (X, Y[:3])}, {}, "as many `y` as inputs, 4. Received: 3"),
    "labels of others": ({"a": (X, {"b": Y})}, {}, "of this task alone"),
    "kinds": ({"a": (X, Y), "b": dataset(X, Y)}, {}, "for all tasks or for none"),
    "dtype": ({"a": (X, Y), "b": (X.astype(int), Y)}, {}, "'x' is int64 .* task 'b'"),
    "shape": ({"a": (X, Y), "b": (X[:, :1], Y)}, {}, r"\(1,\) for task 'b', but"),
    "names": (
        {"a": ({"u": X}, Y), "b": ({"v": X}, Y)},
        {},
        "'u' is absent for task 'b', but float64",
    ),
    "dataset dtype": (
        {"a": dataset(X, Y), "b": dataset(X.astype(int), Y)},
        {},
        "'x' is int64 .* for task 'b'",
    ),
    "weights": ({"a": (X, Y), "b": (X, Y, Y)}, {}, "sample weights. Received: none"),
    "strategy": (DATA, {"strategy": "propotional"}, "mean 'proportional'"),
    "no temperature": (DATA, {"strategy": "temperature"}, "must be positive"),
    "temperature": (DATA, {"strategy": "temperature", "temperature": 0}, "positive"),
    "temperature left": (DATA, {"temperature": 2}, "strategy='temperature' or"),
    "annealed": (DATA, {"strategy": "annealed"}, "`anneal_epochs` must be a positive"),
    "anneal_epochs left": (DATA, {"anneal_epochs": 2}, "come with strategy='annealed'"),
    "max_repeats": (DATA, {"max_repeats": 0.5}, "must be at least 1"),
    "too few repeats": (DATA, {"max_repeats": 1, "steps": 99}, "which allows 913"),
    "unknown start": (DATA, {"starts": {"smal": 1}}, "Did you mean 'small'"),
    "nobody starts": (DATA, {"starts": dict.fromkeys(DATA, 1)}, "first epoch, 0"),
    "short epoch": (DATA, {"steps": 1, "batch_size": 2}, "at least one of the rows"),
    "steps": (DATA, {"steps": 0}, "`steps` must be a positive integer"),
    "batch_size": (DATA, {"batch_size": 0}, "`batch_size` must be a positive"),
    "mixed": (DATA, {"mixed": 1}, "`mixed` must be True or False"),
    "seed": (DATA, {"seed": -1}, "`seed` must be an integer"),
    "endless": ({"a": dataset(X, Y).repeat()}, {}, "`steps` must be given"),
    "endless share": (
        {"a": dataset(X, Y).repeat()},
        {"steps": 3},
        "'uniform' where a dataset does not end",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input(name):
    data, options, message = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=message):
        sample_tasks(data, **options)


def test_a_position_behind_the_epoch_is_refused():
    with pytest.raises(ValueError, match="must be below the batches of an epoch, 19"):
        sampler().skip(19)


def test_rows_of_datasets_have_no_positions():
    with pytest.raises(ValueError, match="needs data in memory"):
        sample_tasks({"a": dataset(X, Y)}).draws()
