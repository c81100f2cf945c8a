"""Rows of one task each, in groups."""

import numpy as np
import pytest
import tensorflow as tf

from kmtl._training._row_groups import RowGroups

TASKS = {
    "even": [0, 1, 2, 3] * 3,
    "one task": [2] * 7,
    "one row": [3],
    "uneven": [0] * 30 + [1, 3, 3],
    "in no order": np.random.default_rng(0).integers(0, 4, 50).tolist(),
}


@pytest.fixture(params=[False, True], ids=["dynamic", "static"])
def is_static(request):
    return request.param


@pytest.fixture(params=TASKS)
def tasks(request):
    return tf.constant(TASKS[request.param], "int32")


@pytest.fixture
def groups(tasks, is_static):
    return RowGroups.of(tasks, 4, is_static=is_static)


def test_rows_come_back_in_their_order(tasks, groups):
    rows = tf.random.normal((len(tasks), 3, 2))
    np.testing.assert_array_equal(groups.by_row(groups.grouped(rows)), rows)


def test_gradients_are_those_of_the_rows(tasks, groups):
    rows, factors = tf.random.normal((2, len(tasks), 3))
    with tf.GradientTape() as tape:
        tape.watch(rows)
        doubled = 2 * groups.grouped(rows) ** 2
        total = tf.reduce_sum(factors * groups.by_row(doubled))
    expected = 4 * factors * rows
    np.testing.assert_allclose(tape.gradient(total, rows), expected, rtol=1e-6)


def test_nothing_comes_back_to_empty_places(tasks, groups):
    placed = tf.random.normal((int(groups.size), len(groups.owners), 3))
    with tf.GradientTape() as tape:
        tape.watch(placed)
        total = tf.reduce_sum(groups.by_row(placed))
    found = tape.gradient(total, placed).numpy()
    assert found.sum() == 3 * len(tasks)
    assert set(np.unique(found)) <= {0.0, 1.0}


def test_each_row_is_in_a_group_of_its_task(tasks, groups):
    owners = groups.owners.numpy()
    place_owner = np.repeat(owners, int(groups.size))
    np.testing.assert_array_equal(place_owner[groups.places], tasks)


def test_each_row_has_a_place_of_its_own(groups):
    places = groups.places.numpy()
    assert len(set(places)) == len(places)
    np.testing.assert_array_equal(groups.rows.numpy()[places], np.arange(len(places)))


def test_at_most_three_quarters_of_the_places_are_empty(tasks, groups):
    assert len(groups.rows) <= 4 * len(tasks) + 4


def test_rows_of_one_task_are_one_group():
    groups = RowGroups.of(tf.fill([7], 2), 4, is_static=False)
    assert (groups.owners.numpy().tolist(), int(groups.size)) == ([2], 7)


def test_tasks_of_nearly_as_many_rows_have_a_group_each():
    groups = RowGroups.of(
        tf.constant([0] * 9 + [1] * 2 + [2] * 4 + [3]), 4, is_static=False
    )
    assert (groups.owners.numpy().tolist(), int(groups.size)) == ([0, 1, 2, 3], 9)
    assert bool(groups.is_one_each)


def test_a_task_without_rows_has_a_group_where_most_have_some():
    groups = RowGroups.of(tf.constant([0, 1, 1, 3]), 4, is_static=False)
    assert (groups.owners.numpy().tolist(), int(groups.size)) == ([0, 1, 2, 3], 2)
    assert bool(groups.is_one_each)


def test_no_rows_make_no_groups(is_static):
    groups = RowGroups.of(tf.zeros([0], "int32"), 4, is_static=is_static)
    assert groups.rows.shape == (0,)
