"""Where heads attach: a shared tensor, one a task, or several places of a network."""

import keras
import numpy as np
import pytest
from keras import ops
from small import build, some_inputs, some_labels, some_tasks

import kmtl

ROWS, UNITS = 5, 8
X = some_inputs()


def per_task(trunk, inputs, tasks):
    """Gives task `t` the trunk's output times `t + 1`."""
    shared = trunk(inputs)
    return ops.stack([(i + 1) * shared for i in range(len(tasks))], axis=-2)


def at_two_places(trunk, inputs, tasks):
    """Attaches the heads of `click` and `colour` below the trunk."""
    low = keras.layers.Dense(3, activation="tanh")(inputs)
    high = trunk(low)
    lower = ("click", "colour")
    return {task.name: low if task.name in lower else high for task in tasks}


def own_head():
    return kmtl.RegressionTask("own", standardize=False, head=keras.layers.Dense(1))


def test_every_task_sees_its_own_slice():
    tasks = [*some_tasks(), own_head()]
    model = build(tasks, sharing=per_task)
    z = np.random.default_rng(0).normal(size=(ROWS, len(tasks), UNITS))
    before = model.outputs_layer(model.heads(z))
    for index, task in enumerate(tasks):
        z_changed = z + np.eye(len(tasks))[index][:, None]
        after = model.outputs_layer(model.heads(z_changed))
        moved = [name for name in before if np.any(after[name] != before[name])]
        assert moved == [task.name]


def test_an_own_head_gets_its_slice_without_the_task_axis():
    model = build([*some_tasks(), own_head()], sharing=per_task)
    assert model.heads.output[-1].shape == (None, 1)


def test_hard_sharing_never_has_a_task_axis():
    tokens = keras.layers.Reshape((2, 2))
    tasks = [own_head(), kmtl.BinaryTask("a", head=keras.layers.Dense(1))]
    model = build(tasks, trunk=tokens)
    assert model.output["a"].shape == (None, 2, 1)
    with pytest.raises(ValueError, match="feature map of shape"):
        build([kmtl.BinaryTask("a"), kmtl.BinaryTask("b")], trunk=tokens)


@pytest.fixture(scope="module")
def two_places():
    return build(some_tasks(), sharing=at_two_places)


def test_heads_attach_to_several_places(two_places):
    assert [t.shape[-1] for t in two_places.encoder.output] == [3, UNITS]
    groups = [group.indices for group in two_places.outputs_layer.groups]
    assert groups == [(0,), (1,), (2,), (3,)]
    logs = two_places.train_on_batch(X, some_labels(some_tasks()), return_dict=True)
    assert np.isfinite(logs["loss"])


def test_heads_at_several_places_come_back_from_a_file(two_places, tmp_path):
    two_places.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    before, after = (m(X) for m in (two_places, loaded))
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_the_head_at_one_of_several_places_can_be_frozen():
    model = build([*some_tasks(), own_head()], sharing=at_two_places)
    model.set_trainable("own", False)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    model.train_on_batch(X, some_labels(model.tasks))
    still = [v.path for v in model.trainable_variables if np.all(v == before[v.path])]
    assert len(still) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {**d, "clik": d["click"]}, "unknown task. Received: 'clik'"),
        (lambda d: {"click": d["click"]}, "Received: 'colour'"),
    ],
)
def test_a_sharing_must_name_every_task_and_no_other(change, message):
    def sharing(*args):
        return change(at_two_places(*args))

    with pytest.raises(ValueError, match=message):
        build(some_tasks(), sharing=sharing)


def test_slices_are_taken_in_the_order_asked_for():
    stacked = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(
        kmtl.layers.TakeTasks(["c", "a"], tasks="abc")(stacked), stacked[:, [2, 0]]
    )
    one = kmtl.layers.TakeTasks("b", tasks="abc")(stacked)
    np.testing.assert_array_equal(one, stacked[:, 1])


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 3)])
def test_slices_are_taken_from_an_input_that_has_them(shape):
    with pytest.raises(ValueError, match=r"tasks \['a', 'b', 'c'\] on the last axis"):
        kmtl.layers.TakeTasks("a", tasks="abc")(np.zeros(shape))


def test_an_unknown_slice_cannot_be_taken():
    with pytest.raises(ValueError, match=r"unknown task\. Received: 'd'"):
        kmtl.layers.TakeTasks(["d"], tasks="abc")
