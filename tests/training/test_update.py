"""A fused update is the optimizer's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import slow_but

from kmtl._training import _update
from kmtl._training._update import update

K = keras.optimizers
OPTIMIZERS = {
    "Adam": lambda: K.Adam(0.1, amsgrad=True),
    "AdamW": lambda: K.AdamW(K.schedules.ExponentialDecay(0.1, 1, 0.5)),
    "SGD": lambda: K.SGD(0.1, momentum=0.9, nesterov=True, global_clipnorm=0.5),
    "Nadam": lambda: K.Nadam(0.1),
    "RMSprop": lambda: K.RMSprop(0.1, momentum=0.9, centered=True),
    "Lion": lambda: K.Lion(0.1),
    "Adagrad": lambda: K.Adagrad(0.1),
    "Adadelta": lambda: K.Adadelta(0.1, use_ema=True),
    "Adamax": lambda: K.Adamax(0.1),
    "Ftrl": lambda: K.Ftrl(0.1),
}
RNG = np.random.default_rng(0)
SHAPES = [(3, 4, 2), (3, 2)]
STARTS = [RNG.normal(size=shape).astype("float32") for shape in SHAPES]
GRADIENTS = [[RNG.normal(size=s).astype("float32") for s in SHAPES] for _ in range(3)]


@pytest.fixture
def fuse(monkeypatch):
    monkeypatch.setattr(_update, "_MANY", 1)


def stepper(optimizer, variables):
    optimizer.build(variables)

    @tf.function
    def step(*gradients):
        update(optimizer, gradients, variables)

    return step


def is_fused(step):
    graph = step.get_concrete_function(*GRADIENTS[0]).graph
    calls = [o for o in graph.get_operations() if "PartitionedCall" in o.type]
    return any(o.get_attr("_XlaMustCompile") for o in calls)


@pytest.mark.usefixtures("fuse")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=slow_but(["AdamW"], name)) for name in OPTIMIZERS]
)
def test_three_steps_are_those_of_the_optimizer(name):
    ours, theirs = ([keras.Variable(s) for s in STARTS] for _ in range(2))
    fused, alone = OPTIMIZERS[name](), OPTIMIZERS[name]()
    step = stepper(fused, ours)
    assert is_fused(step)
    alone.build(theirs)
    for gradients in GRADIENTS:
        step(*gradients)
        alone.apply([tf.constant(g) for g in gradients], theirs)
    pairs = [*zip(ours, theirs, strict=True)]
    pairs += zip(fused.variables, alone.variables, strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_every_optimizer_that_is_fused_is_tried():
    assert {kind.__name__ for kind in _update._ELEMENT_WISE} == set(OPTIMIZERS)


class OwnAdam(K.Adam):
    """May do what XLA cannot compile."""


@pytest.mark.usefixtures("fuse")
def test_others_are_left_alone():
    assert not is_fused(stepper(OwnAdam(), [keras.Variable(s) for s in STARTS]))


def test_few_weights_are_left_alone():
    assert not is_fused(stepper(K.Adam(), [keras.Variable(s) for s in STARTS]))
