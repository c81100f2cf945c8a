"""Sampling on census records: shares, repeats, resuming, the same from files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl
from kmtl.data import Epoch, rows_by_task, sample_tasks

DATA = Path(__file__).parents[2] / "examples" / "data" / "census_income"
SIZES = {"married": 5400, "woman": 540, "income": 60}
EPOCHS = range(3)
WAYS = {
    "proportional": {},
    "sqrt": {"strategy": "sqrt"},
    "temperature": {"strategy": "temperature", "temperature": 5},
    "uniform": {"strategy": "uniform"},
    "annealed": {"strategy": "annealed", "anneal_epochs": 3},
    "capped": {"strategy": "uniform", "max_repeats": 2},
    "phases": {"strategy": "sqrt", "starts": {"income": 1}},
}


@pytest.fixture(scope="module")
def census():
    """Records of one task each, 90 to 9 to 1, by task."""
    names = (DATA / "columns.txt").read_text().split()
    file = DATA / "census-income.data.xz"
    frame = pd.read_csv(file, names=names, skipinitialspace=True, nrows=6000)
    task = np.repeat(list(SIZES), list(SIZES.values()))
    labels = {
        "married": frame["marital_status"] != "Never married",
        "woman": frame["sex"] == "Female",
        "income": frame["income_50k"] == "50000+.",
    }
    label = np.select([task == name for name in labels], list(labels.values()))
    columns = frame[["age", "weeks_worked_in_year", "major_industry_code"]]
    rows = columns.assign(task=task, label=label)
    return rows_by_task(rows, task="task", label="label")


@pytest.fixture(scope="module")
def features(census):
    return kmtl.TabularFeatures.from_frame(pd.concat(x for x, _ in census.values()))


@pytest.fixture(scope="module")
def arrays(census, features):
    return {task: (features.encode(x), y.to_numpy()) for task, (x, y) in census.items()}


@pytest.fixture
def read(make_adapter, arrays, features):
    """Reads the batches of epochs, all leaves of each."""
    x, _ = arrays["income"]
    specs = {name: (array.shape[1:], array.dtype.name) for name, array in x.items()}
    adapter = make_adapter([kmtl.BinaryTask(task) for task in SIZES], specs, features)

    def batches(sampler, epochs):
        epoch, found = Epoch(), []
        dataset = sampler.dataset(adapter, epoch)
        for epoch.number in epochs:
            found += [tf.nest.flatten(batch) for batch in dataset.as_numpy_iterator()]
        return found

    return batches


def sampler_of(data, way, **options):
    return sample_tasks(data, batch_size=100, **WAYS[way], **options)


def drawn(sampler):
    """The draws of all epochs, and their tables."""
    draws = [sampler.draws(epoch).assign(epoch=epoch) for epoch in EPOCHS]
    return pd.concat(draws), pd.concat([sampler.table(epoch) for epoch in EPOCHS])


@pytest.mark.parametrize("way", WAYS)
def test_drawn_shares_are_the_requested_ones(arrays, way):
    draws, tables = drawn(sampler_of(arrays, way))
    expected = tables["probability"].groupby("task").mean() * len(draws)
    chi_square = ((draws.groupby("task").size() - expected) ** 2 / expected).sum()
    assert chi_square < 0.05  # random draws: 2 on average, this once in 40 times


@pytest.mark.parametrize("way", ["sqrt", "uniform", "annealed"])
def test_shares_of_batches_are_the_requested_ones(arrays, way):
    draws, tables = drawn(sampler_of(arrays, way, mixed=False))
    batches = draws.drop_duplicates(["epoch", "batch"])
    expected = tables["probability"].groupby("task").mean() * len(batches)
    assert (batches.groupby("task").size() - expected).abs().max() < len(EPOCHS)


@pytest.mark.parametrize("way", WAYS)
def test_no_task_starves_once_it_has_started(arrays, way):
    _, tables = drawn(sampler_of(arrays, way))
    assert (tables["rows"] > 0).eq(tables["probability"] > 0).all()
    assert (tables["rows"].groupby("task").sum() >= 60).all()


def test_no_row_is_seen_more_often_than_max_repeats_says(arrays):
    draws, _ = drawn(sampler_of(arrays, "capped"))
    seen = draws.groupby(["task", "row"]).size()
    assert seen.max() == 2 * len(EPOCHS)
    assert seen["income"].eq(2 * len(EPOCHS)).all()


@pytest.mark.parametrize("way", ["sqrt", "annealed", "phases"])
def test_a_resumed_run_reads_the_same_bits(arrays, read, way):
    whole = read(sampler_of(arrays, way), [0, 1])
    rest = read(sampler_of(arrays, way).skip(25), [1])
    assert len(rest) == 35
    tf.nest.map_structure(np.testing.assert_array_equal, rest, whole[60 + 25 :])


def from_shards(frame, features, folder):
    """A data set of the rows of a task in Parquet shards, read frame by frame."""
    folder.mkdir()
    frame[:700].to_parquet(folder / "0.parquet", row_group_size=500)
    frame[700:].to_parquet(folder / "1.parquet")
    source = kmtl.data.read_parquet(folder / "*.parquet", chunk_rows=1000)
    first = features.encode(frame[:1]), frame["label"].to_numpy()[:1]
    return tf.data.Dataset.from_generator(
        lambda: ((features.encode(part), part["label"]) for part in source),
        output_signature=tf.nest.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), first
        ),
    )


def test_shards_in_the_same_order_give_the_same_bits(
    census, features, arrays, read, tmp_path
):
    memory = sampler_of(arrays, "proportional")
    order = memory.draws().groupby("task")["row"].apply(list)
    ordered = {t: x.assign(label=y).iloc[order[t]] for t, (x, y) in census.items()}
    data = {t: from_shards(f, features, tmp_path / t) for t, f in ordered.items()}
    streams = sampler_of(data, "proportional")
    tf.nest.map_structure(
        np.testing.assert_array_equal, read(streams, [0]), read(memory, [0])
    )
