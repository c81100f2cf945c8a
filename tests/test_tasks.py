"""An invalid task cannot exist, and a valid one is plain data."""

import dataclasses
import json

import keras
import numpy as np
import pytest

import kmtl
from kmtl._checks import check_task_name
from kmtl.tasks import Task, check_tasks

KINDS = [kmtl.BinaryTask, kmtl.MulticlassTask, kmtl.RegressionTask]
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("name", ["a", "Tox21_NR-AR", "9x", "a.b", "A", "x" * 200])
def test_legal_names_pass(name):
    check_task_name(name)


@pytest.mark.parametrize(
    "name", ["", " a", "a b", "a/b", "_a", "-a", ".a", "größe", "a\n", "a:0", 3, None]
)
def test_an_illegal_name_is_an_error_with_its_remedy(name):
    with pytest.raises(ValueError, match="put the column's name in `label`"):
        kmtl.BinaryTask(name)


@pytest.mark.parametrize("name", ["loss", "mean", "val"])
def test_names_of_totals_are_taken(name):
    with pytest.raises(
        ValueError, match=f"name totals in the logs. Received: {name!r}"
    ):
        kmtl.RegressionTask(name)


def test_the_prefix_of_validation_logs_is_taken():
    with pytest.raises(ValueError, match=r"not start with 'val_'.* Received: 'val_a'"):
        kmtl.BinaryTask("val_a")
    assert kmtl.BinaryTask("value", label="val_a").column == "val_a"


def test_the_label_column_may_have_any_name():
    assert kmtl.BinaryTask("rich", label="income (USD)").column == "income (USD)"


def test_the_label_column_is_named_like_the_task_by_default():
    assert kmtl.BinaryTask("rich").column == "rich"


def test_a_label_that_is_no_name_is_an_error():
    with pytest.raises(ValueError, match=r"`label` of task 'a' .* Received: 3"):
        kmtl.BinaryTask("a", label=3)


def test_a_task_without_a_kind_is_an_error():
    with pytest.raises(TypeError, match="use BinaryTask, MulticlassTask or Regression"):
        Task("a")


@every_kind
def test_a_task_is_frozen(kind):
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind("a").name = "b"


@every_kind
def test_everything_but_the_name_is_named(kind):
    with pytest.raises(TypeError, match="positional argument"):
        kind("a", "label")


@every_kind
@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "1", True])
def test_a_wrong_loss_weight_is_an_error(kind, weight):
    with pytest.raises(ValueError, match="`loss_weight of task 'a'` must be a finite"):
        kind("a", loss_weight=weight)


@pytest.mark.parametrize("weight", [0, 2, 0.5, np.float32(0.5), np.int64(2)])
def test_loss_weights_are_numbers_of_any_type(weight):
    assert type(kmtl.BinaryTask("a", loss_weight=weight).loss_weight) is float


@every_kind
@pytest.mark.parametrize("units", [32, "32", [0], [-1], [1.5], [True]])
def test_wrong_head_units_are_an_error(kind, units):
    with pytest.raises(ValueError, match="head_units of task 'a'"):
        kind("a", head_units=units)


@every_kind
@pytest.mark.parametrize("units", [[8], (8,), np.array([8])])
def test_head_units_are_a_list_of_any_kind(kind, units):
    assert kind("a", head_units=units).head_units == (8,)


@every_kind
def test_a_head_of_its_own_has_no_head_units(kind):
    head = keras.layers.Dense(1)
    with pytest.raises(ValueError, match="give the hidden layers inside `head`"):
        kind("a", head=head, head_units=[8])


@every_kind
@pytest.mark.parametrize("metrics", ["auc", 3, {"auc": 1}])
def test_metrics_are_a_list(kind, metrics):
    with pytest.raises(ValueError, match="`metrics of task 'a'` must be a list"):
        kind("a", metrics=metrics)


@every_kind
@pytest.mark.parametrize("missing", [["?"], ("?",), float("nan"), b"?"])
def test_a_value_for_missing_labels_is_one_value(kind, missing):
    with pytest.raises(ValueError, match="`missing of task 'a'` must be text, a numb"):
        kind("a", missing=missing)


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("weight", [-1.0, float("nan"), "1"])
def test_a_wrong_class_weight_is_an_error(kind, weight):
    with pytest.raises(ValueError, match=r"class_weight of task 'a'\['yes'\]"):
        kind("a", class_weight={"no": 1.0, "yes": weight})


@pytest.mark.parametrize("kind", KINDS[:2])
def test_class_weights_are_a_dict(kind):
    with pytest.raises(
        TypeError, match=r"dict of factors by label value. Received: \["
    ):
        kind("a", class_weight=[1.0, 5.0])


def test_class_weights_are_not_shared_with_the_caller():
    weights = {0: 1.0, 1: 5.0}
    task = kmtl.BinaryTask("a", class_weight=weights)
    weights[1] = 100.0
    assert task.class_weight == {0: 1.0, 1: 5.0}


@pytest.mark.parametrize("classes", [["no"], ["no", "yes", "?"], []])
def test_a_binary_task_has_two_classes(classes):
    with pytest.raises(ValueError, match=r"two different values, \(negative, positive"):
        kmtl.BinaryTask("a", classes=classes)


@pytest.mark.parametrize("classes", [["no", "no"], [1, True], [1, "1"]])
def test_the_classes_of_a_binary_task_differ(classes):
    with pytest.raises(ValueError, match="must be unique"):
        kmtl.BinaryTask("a", classes=classes)


def test_positive_is_the_second_class():
    with pytest.raises(ValueError, match=r"`positive` .* must be the second of `clas"):
        kmtl.BinaryTask("a", positive="no", classes=["no", "yes"])


def test_positive_beside_its_classes_passes():
    task = kmtl.BinaryTask("a", positive="yes", classes=["no", "yes"])
    assert task.classes == ("no", "yes")


@pytest.mark.parametrize("positive", [["yes"], float("nan"), b"yes"])
def test_positive_is_one_value(positive):
    with pytest.raises(ValueError, match="`positive of task 'a'` must be text, a num"):
        kmtl.BinaryTask("a", positive=positive)


def test_positive_cannot_mean_missing_too():
    with pytest.raises(ValueError, match=r"must differ. Received: 1 for both"):
        kmtl.BinaryTask("a", positive=1, missing=1)


@pytest.mark.parametrize("number", [10, np.int64(10)])
def test_classes_as_a_number_are_their_ids(number):
    assert kmtl.MulticlassTask("digit", classes=number).classes == tuple(range(10))


@pytest.mark.parametrize(
    "classes", [["b", "a"], ("b", "a"), np.array(["b", "a"]), iter("ba")]
)
def test_classes_keep_their_order(classes):
    assert kmtl.MulticlassTask("a", classes=classes).classes == ("b", "a")


@pytest.mark.parametrize("classes", [0, 1, -3, ["a"], []])
def test_one_class_is_too_few(classes):
    with pytest.raises(ValueError, match=r"at least two values, or their number. Rec"):
        kmtl.MulticlassTask("a", classes=classes)


@pytest.mark.parametrize("classes", [{"a", "b"}, {"a": 0}, "ab", 2.0, True])
def test_classes_are_a_list(classes):
    with pytest.raises(ValueError, match="`classes of task 'a'` must be a list"):
        kmtl.MulticlassTask("a", classes=classes)


@pytest.mark.parametrize("classes", [["a", "b", "a"], [0, 1, True], [1, 2, "1"]])
def test_classes_differ_also_as_names_of_columns(classes):
    with pytest.raises(ValueError, match=r"classes of task 'a'.* must be unique. Repe"):
        kmtl.MulticlassTask("a", classes=classes)


@pytest.mark.parametrize("classes", [["a", None], ["a", float("nan")], ["a", ("b",)]])
def test_a_class_is_one_value(classes):
    with pytest.raises(ValueError, match="`classes of task 'a'` must be text, a numb"):
        kmtl.MulticlassTask("a", classes=classes)


def test_a_class_cannot_mean_missing():
    with pytest.raises(ValueError, match=r"`missing` of task 'a' .* missing=-1, cla"):
        kmtl.MulticlassTask("a", classes=[-1, 0, 1], missing=-1)


def test_units_need_known_classes():
    with pytest.raises(ValueError, match="must be given when the model is not built"):
        _ = kmtl.MulticlassTask("a").units


def test_units_are_the_number_of_classes():
    assert kmtl.MulticlassTask("a", classes=["x", "y", "z"]).units == 3


TASKS = [
    kmtl.BinaryTask("a", label="col", positive="yes", class_weight={"yes": 5}),
    kmtl.BinaryTask("b", classes=[False, True], missing=np.int64(-1), loss_weight=2),
    kmtl.MulticlassTask("c", classes=np.array([3, 5]), class_weight={3: 1, 5: 2}),
    kmtl.MulticlassTask("d", classes=["x", "y"], metrics=["accuracy"], missing="?"),
    kmtl.RegressionTask("e", standardize=False, head_units=np.array([8, 4])),
    kmtl.RegressionTask("f", loss="huber", metrics=["mae", "r2"]),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_survives_json(task):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(task)))
    assert keras.saving.deserialize_keras_object(config) == task


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_can_be_hashed(task):
    assert hash(task) == hash(dataclasses.replace(task))


def test_tasks_become_a_tuple():
    a, b = kmtl.BinaryTask("a"), kmtl.RegressionTask("b")
    assert check_tasks(task for task in [a, b]) == (a, b)


def test_one_task_needs_no_list():
    task = kmtl.BinaryTask("a")
    assert check_tasks(task) == (task,)


@pytest.mark.parametrize("tasks", [[], (), iter([])])
def test_no_task_is_an_error(tasks):
    with pytest.raises(ValueError, match="`tasks` must hold at least one task"):
        check_tasks(tasks)


@pytest.mark.parametrize("tasks", [None, "a", 3, {"a": kmtl.BinaryTask("a")}, set()])
def test_tasks_are_a_list(tasks):
    with pytest.raises(TypeError, match=r"`tasks` must be a list of tasks. Received: "):
        check_tasks(tasks)


@pytest.mark.parametrize("wrong", ["a", kmtl.BinaryTask, None])
def test_only_tasks_are_tasks(wrong):
    with pytest.raises(TypeError, match="`tasks` must hold BinaryTask, MulticlassTask"):
        check_tasks([kmtl.BinaryTask("b"), wrong])


def test_names_of_tasks_differ():
    with pytest.raises(ValueError, match=r"`names of tasks` .* Repeated: \['a'\]"):
        check_tasks([kmtl.BinaryTask("a"), kmtl.RegressionTask("a")])
