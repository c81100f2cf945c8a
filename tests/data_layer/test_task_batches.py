"""Packed batches of `sample_tasks`, without a model."""

import numpy as np
import pytest
import tensorflow as tf

from kmtl import BinaryTask, RegressionTask
from kmtl.data import Epoch, sample_tasks

TASKS = [RegressionTask("a"), RegressionTask("b"), BinaryTask("c")]
SIZES = {"a": 23, "b": 7, "c": 3}


def rows(task):
    """Inputs and labels that tell the task and the row."""
    count = SIZES[task]
    x = np.stack([np.full(count, ord(task)), np.arange(count)], axis=1)
    return x.astype("float32"), np.arange(count) % 2


def datasets(of_rows):
    made = {task: tf.data.Dataset.from_tensor_slices(rows(task)) for task in SIZES}
    return made if of_rows else {task: d.batch(4) for task, d in made.items()}


@pytest.fixture
def read(make_adapter):
    def batches(sampler, epochs=(0,)):
        epoch = Epoch()
        dataset = sampler.dataset(make_adapter(TASKS), epoch)
        found = []
        for epoch.number in epochs:
            found += list(dataset.as_numpy_iterator())
        return found

    return batches


def inputs(batches):
    return np.concatenate([x["inputs"] for x, _ in batches])


def labels(batches):
    """The labels of all tasks, `(rows, tasks)`."""
    packed = [np.concatenate(y["labels"], axis=1) for _, y in batches]
    return np.concatenate(packed)


OPTIONS = [
    {"strategy": "proportional", "mixed": True},
    {"strategy": "proportional", "mixed": False},
    {"strategy": "sqrt", "mixed": True},
    {"strategy": "uniform", "mixed": False},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_batches_hold_the_rows_that_draws_tells(read, options):
    data = {task: rows(task) for task in SIZES}
    sampler = sample_tasks(data, batch_size=5, **options)
    draws, batches = sampler.draws(epoch=2), read(sampler, [2])
    expected = np.stack([draws["task"].map(ord), draws["row"]], axis=1)
    np.testing.assert_array_equal(inputs(batches), expected)
    sizes = draws.groupby("batch").size().tolist()
    assert [len(x["inputs"]) for x, _ in batches] == sizes


@pytest.mark.parametrize("of_rows", [True, False])
@pytest.mark.parametrize("options", OPTIONS)
def test_datasets_are_read_in_their_order_pass_after_pass(read, options, of_rows):
    sampler = sample_tasks(datasets(of_rows), batch_size=5, **options)
    found = inputs(read(sampler, range(3)))
    for task, size in SIZES.items():
        own = found[found[:, 0] == ord(task), 1]
        np.testing.assert_array_equal(own, np.arange(len(own)) % size)


@pytest.mark.parametrize("options", OPTIONS)
def test_datasets_give_tasks_in_the_order_that_arrays_do(read, options):
    arrays = sample_tasks({t: rows(t) for t in SIZES}, batch_size=5, **options)
    streams = sample_tasks(datasets(of_rows=False), batch_size=5, **options)
    one, other = (inputs(read(s, [0, 1]))[:, 0] for s in (arrays, streams))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("data", [{t: rows(t) for t in SIZES}, datasets(of_rows=False)])
def test_labels_of_other_tasks_are_missing(read, data):
    batches = read(sample_tasks(data, batch_size=5))
    tasks, numbers = inputs(batches).T
    expected = np.full((33, 3), np.nan)
    expected[np.arange(33), (tasks - ord("a")).astype(int)] = numbers % 2
    np.testing.assert_array_equal(labels(batches), expected)


@pytest.mark.parametrize("data", [{t: rows(t) for t in SIZES}, datasets(of_rows=True)])
def test_a_later_epoch_is_the_same_whether_or_not_those_before_were_read(read, data):
    sampler = sample_tasks(data, "sqrt", batch_size=5)
    through = read(sampler, range(3))[-sampler.steps :]
    tf.nest.map_structure(np.testing.assert_array_equal, read(sampler, [2]), through)
    rest = read(sampler.skip(4), [2])
    tf.nest.map_structure(np.testing.assert_array_equal, rest, through[4:])


def test_weights_come_along(read):
    data = {t: (*rows(t), np.arange(SIZES[t]) + 1.0) for t in SIZES}
    batches = read(sample_tasks(data, batch_size=5))
    weights = np.concatenate([y["row_weights"] for _, y in batches])
    np.testing.assert_array_equal(weights, inputs(batches)[:, 1] + 1)


def test_shapes_are_known_but_for_the_rows(make_adapter):
    adapter = make_adapter(TASKS)
    specs = [
        sample_tasks(data, batch_size=5).dataset(adapter, Epoch()).element_spec
        for data in ({t: rows(t) for t in SIZES}, datasets(of_rows=True))
    ]
    shapes = [[tuple(leaf.shape) for leaf in tf.nest.flatten(s)] for s in specs]
    assert shapes == [[(None, 2), (None, 2), (None, 1)]] * 2


@pytest.mark.parametrize(
    ("counted", "given", "message"),
    [(6, 4, "must give 6 rows.*Received: 4"), (6, 8, "must give 6 rows.*Received: 7")],
)
def test_a_dataset_that_changes_is_an_error(read, counted, given, message):
    sizes = iter([counted, given, given])
    x = np.zeros((1, 2), "float32")
    changing = tf.data.Dataset.from_generator(
        lambda: ((x, [1]) for _ in range(next(sizes))),
        output_signature=(tf.TensorSpec((1, 2)), tf.TensorSpec((1,))),
    )
    sampler = sample_tasks({"a": changing}, batch_size=3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        read(sampler, [0, 1])
