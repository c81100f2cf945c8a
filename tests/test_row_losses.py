"""Losses on stacked tasks: which ones stack, and what each one sees."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import build, evaluate, fit, some_inputs, some_labels

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask
from kmtl._row_losses import row_losses

K = keras.losses


def absolute(y_true, y_pred):
    return keras.ops.abs(y_true - y_pred)[:, 0]


def to_a_scalar(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred))


def one(task):
    """The loss of a task alone."""
    return row_losses([task])[0][1]


def test_tasks_with_one_loss_are_one_stack():
    tasks = [BinaryTask("a"), BinaryTask("b", loss="bce"), BinaryTask("c", loss="mse")]
    assert [positions for positions, _ in row_losses(tasks)] == [[0, 1], [2]]


def test_losses_of_one_class_with_other_settings_are_two_stacks():
    tasks = [
        RegressionTask("a", loss=K.Huber(0.1)),
        RegressionTask("b", loss=K.Huber(0.2)),
        RegressionTask("c", loss=K.Huber(0.1)),
    ]
    assert [positions for positions, _ in row_losses(tasks)] == [[0, 2], [1]]


def test_a_callable_is_called_once_a_task():
    tasks = [RegressionTask("a", loss=absolute), RegressionTask("b", loss=absolute)]
    assert [positions for positions, _ in row_losses(tasks)] == [[0], [1]]


@pytest.mark.parametrize(
    "task",
    [
        BinaryTask("a"),
        BinaryTask("a", loss=K.BinaryFocalCrossentropy()),
        RegressionTask("a"),
        RegressionTask("a", loss=kmtl.losses.Pinball(0.3)),
        RegressionTask("a", loss="log_cosh"),
        MulticlassTask("a", classes=4),
        MulticlassTask("a", classes=4, loss="categorical_crossentropy"),
        MulticlassTask("a", classes=4, loss=K.CategoricalHinge()),
    ],
)
def test_a_stack_gives_each_task_its_own_loss(task):
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(6, 3, task.units)), "float32")
    labels = tf.constant(rng.integers(0, max(task.units, 2), (6, 3)), "float32")
    loss = one(task)
    values = loss(labels, logits, tf.nn.sigmoid(logits))
    assert loss.stacked
    assert values.shape == (6, 3)
    for i in range(3):
        part = slice(i, i + 1)
        alone = loss(labels[:, part], logits[:, part], tf.nn.sigmoid(logits[:, part]))
        np.testing.assert_allclose(values[:, part], alone, rtol=1e-5, atol=1e-6)


def test_saturated_logits_have_a_finite_loss_and_a_gradient():
    logits = tf.constant([[[-200.0]], [[200.0]]])
    labels = tf.constant([[1.0], [0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        values = one(BinaryTask("a"))(labels, logits, tf.nn.sigmoid(logits))
    np.testing.assert_allclose(values, [[200.0], [200.0]])
    gradient = tape.gradient(values, logits)
    np.testing.assert_allclose(np.ravel(gradient), [-1.0, 1.0])


@pytest.mark.parametrize("shape", ["column", "flat"])
def test_a_callable_may_return_a_column_or_a_vector(shape):
    def column(y_true, y_pred):
        return keras.ops.abs(y_true - y_pred)

    loss = {"column": column, "flat": absolute}[shape]
    task = RegressionTask("price", standardize=False, loss=loss)
    y = some_labels([task])
    model = build([task])
    logs = evaluate(model, some_inputs(), y)
    assert logs["price_loss"] == pytest.approx(logs["price_mae"], rel=1e-6)


def test_a_callable_sees_one_task_with_the_rank_keras_gives_it():
    seen = []

    def loss(y_true, y_pred):
        seen.append((tuple(y_true.shape), tuple(y_pred.shape)))
        return absolute(y_true, y_pred)

    tasks = [
        RegressionTask("a", standardize=False, loss=loss),
        RegressionTask("b", standardize=False, loss=loss),
    ]
    fit(build(tasks), some_inputs(6), some_labels(tasks, 6), batch_size=6)
    assert set(seen) == {((6, 1), (6, 1))}
    assert len(seen) == 2


def test_a_callable_of_a_binary_task_sees_probabilities():
    seen = []

    def loss(y_true, y_pred):
        seen.append(np.asarray(y_pred))
        return absolute(y_true, y_pred)

    model = build([BinaryTask("buy", loss=loss)])
    evaluate(model, some_inputs(4), {"buy": [0, 1, 0, 1]})
    predicted = model.predict(some_inputs(4), verbose=0)["buy"]
    np.testing.assert_allclose(seen[0], predicted, rtol=1e-6)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_a_loss_that_returns_a_scalar_is_refused(run_eagerly):
    task = RegressionTask("price", loss=to_a_scalar)
    model = build([task])
    model.compile(run_eagerly=run_eagerly, jit_compile=False)
    with pytest.raises(ValueError, match=r"task 'price' must return one value a row"):
        fit(model, some_inputs(), some_labels([task]))


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        (BinaryTask("a", loss="categorical_crossentropy"), "CategoricalCrossentropy"),
        (BinaryTask("a", loss=K.SparseCategoricalCrossentropy()), "SparseCategorical"),
        (MulticlassTask("a", classes=3, loss="bce"), "BinaryCrossentropy"),
        (RegressionTask("a", loss=K.BinaryCrossentropy()), "BinaryCrossentropy"),
        (RegressionTask("a", loss="sparse_categorical_crossentropy"), "SparseCateg"),
        (RegressionTask("a", loss="kl_divergence"), "KLDivergence"),
        (BinaryTask("a", loss=K.CategoricalHinge()), "CategoricalHinge"),
    ],
)
def test_a_loss_of_another_kind_is_refused(task, loss):
    with pytest.raises(ValueError, match=f"does not fit its kind. Received: {loss}"):
        build([task])


def test_a_loss_that_keras_does_not_know_is_refused():
    with pytest.raises(ValueError, match=r"`loss` of task 'a'.*Received: 'nonsense'"):
        build([BinaryTask("a", loss="nonsense")])


def test_a_loss_object_of_the_users_own_counts_rows_one_by_one():
    class Cubic(K.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 3, axis=-1)

    task = RegressionTask("price", standardize=False, loss=Cubic())
    model = build([task])
    x, price = some_inputs(), some_labels([task])["price"]
    price[::2] = np.nan
    error = model.predict(x, verbose=0)["price"][:, 0] - price
    logs = evaluate(model, x, {"price": price}, batch_size=5)
    assert logs["price_loss"] == pytest.approx(np.nanmean(abs(error) ** 3), rel=1e-5)
