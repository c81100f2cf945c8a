"""Stacked weights and optimizers: element-wise ones agree, others are refused."""

import keras
import numpy as np
import pytest
from small import build, fit, head_slices, some_inputs, some_labels, some_tasks

from kmtl import BinaryTask, MulticlassTask

K = keras.optimizers
COUPLED = [K.Lamb(), K.Adafactor(), K.Muon(), K.SGD(clipnorm=1.0), K.Adam(clipnorm=1.0)]
ELEMENT_WISE = [
    K.SGD(momentum=0.9),
    K.Adam(),
    K.AdamW(),
    K.Nadam(),
    K.RMSprop(),
    K.Lion(),
    K.Adagrad(),
    K.Adadelta(),
    K.Adamax(),
    K.Ftrl(),
    K.SGD(global_clipnorm=0.1),
    K.SGD(clipvalue=0.1),
]


def name_of(optimizer):
    clipped = [k for k, v in optimizer.get_config().items() if "clip" in k and v]
    return "_".join([optimizer.name, *clipped])


def copy(optimizer):
    return type(optimizer).from_config(optimizer.get_config())


@pytest.mark.parametrize("optimizer", COUPLED, ids=name_of)
def test_an_optimizer_that_couples_tasks_is_refused(optimizer):
    with pytest.raises(ValueError, match="slices of one"):
        build(some_tasks(), optimizer=copy(optimizer))


@pytest.mark.parametrize("wrap", [K.LossScaleOptimizer])
def test_a_wrapped_optimizer_is_looked_into(wrap):
    with pytest.raises(ValueError, match="`optimizer` Lamb works on whole variables"):
        build(some_tasks(), optimizer=wrap(K.Lamb()))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", COUPLED, ids=name_of)
def test_every_optimizer_works_where_no_tasks_are_stacked(optimizer):
    tasks = [BinaryTask("a"), MulticlassTask("b", classes=3)]
    logs = fit(
        build(tasks, optimizer=copy(optimizer)), some_inputs(), some_labels(tasks)
    )
    assert np.isfinite(logs["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ELEMENT_WISE, ids=name_of)
def test_element_wise_optimizers_are_accepted(optimizer):
    model = build(some_tasks(), optimizer=copy(optimizer))
    before = head_slices(model, "buy")
    logs = fit(model, some_inputs(), some_labels(some_tasks()))
    assert np.isfinite(logs["loss"])
    assert not np.array_equal(before[0], head_slices(model, "buy")[0])


@pytest.mark.parametrize(
    "optimizer",
    [
        ELEMENT_WISE[2],
        *(pytest.param(ELEMENT_WISE[i], marks=pytest.mark.slow) for i in (0, 4)),
    ],
    ids=name_of,
)
def test_a_stacked_task_trains_as_it_would_alone(optimizer):
    tasks = some_tasks()
    y = {"buy": some_labels(tasks)["buy"]}
    model = build(tasks, optimizer=copy(optimizer))
    alone = build(tasks[3:], optimizer=copy(optimizer))
    fit(model, some_inputs(), y, epochs=2)
    fit(alone, some_inputs(), y, epochs=2)
    pairs = zip(head_slices(model, "buy"), head_slices(alone, "buy"), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_global_clipnorm_clips_the_norm_over_all_variables():
    start = build(some_tasks(), optimizer=K.SGD(1.0, global_clipnorm=0.01))
    before = start.get_weights()
    fit(start, some_inputs(), some_labels(some_tasks()), batch_size=24)
    moved = [a - b for a, b in zip(before, start.get_weights(), strict=True)]
    norm = np.sqrt(sum(np.square(part).sum() for part in moved))
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_an_optimizer_that_keras_does_not_know_is_refused():
    with pytest.raises(ValueError, match="nonsense"):
        build(some_tasks(), optimizer="nonsense")


def test_compile_names_a_setting_that_does_not_exist():
    with pytest.raises(TypeError, match=r"no setting 'jit_compil'.*'jit_compile'"):
        build(some_tasks()).compile(jit_compil=True)


@pytest.mark.parametrize("name", ["loss", "metrics", "weighted_metrics"])
def test_losses_and_metrics_belong_to_the_tasks(name):
    with pytest.raises(TypeError, match=f"`{name}` belongs to the tasks"):
        build(some_tasks()).compile(**{name: "mse"})


def test_freezing_under_several_optimizers_is_refused():
    parts = K.OptimizerMap(default_optimizer=K.SGD(0.1))
    model = build(some_tasks(), optimizer=K.MultiOptimizer(parts))
    fit(model, some_inputs(), some_labels(some_tasks()))
    model.set_trainable("buy", False)
    with pytest.raises(ValueError, match="one optimizer for all weights"):
        fit(model, some_inputs(), some_labels(some_tasks()))


@pytest.mark.parametrize("wrap", [lambda inner: inner, K.LossScaleOptimizer])
def test_freeze_absent_refuses_accumulated_gradients(wrap):
    optimizer = wrap(K.SGD(0.1, gradient_accumulation_steps=2))
    model = build(some_tasks())
    with pytest.raises(ValueError, match=r"`freeze_absent=True`.*steps=2. Give up one"):
        model.compile(optimizer, freeze_absent=True)
    model.compile(optimizer)
    with pytest.raises(ValueError, match="`gradient_accumulation_steps` of the opt"):
        model.compile(freeze_absent=True)
