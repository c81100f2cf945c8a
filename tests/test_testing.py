"""The public checks: every built-in member passes them.

One mapping a module says how each member is made; a test compares it with `__all__`.
"""

import keras
import numpy as np
import pytest

from kmtl import (
    balancing,
    layers,
    losses,
    metrics,
    regularizers,
    sharing,
    testing,
    trunks,
)
from kmtl._head_groups import group_heads
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask

NUMBERS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
GIVEN = np.array([[1, 2], [np.nan, 0], [0, np.nan]], "float32")
TASKS = [
    BinaryTask("a"),
    RegressionTask("b", standardize=False),
    MulticlassTask("c", classes=3),
    RegressionTask("d", standardize=False, head=keras.layers.Dense(2)),
]
TABLE = {
    "numeric": NUMBERS[:, :2],
    "categorical": np.array([[0, 2], [1, 3], [2, 0]], "int32"),
    "text": np.array([[[2, 3]], [[1, 0]], [[0, 0]]], "int32"),
}

LAYERS = {
    "Condition": (
        lambda: layers.Condition([1, 0], ["softmax", "sigmoid"]),
        [NUMBERS[:, None, :2], GIVEN, NUMBERS[:, 1:], NUMBERS[:, :1]],
        {"input_gradient": False},  # none goes through predictions
    ),
    "NothingGiven": (
        lambda: layers.NothingGiven(2),
        NUMBERS,
        {"input_gradient": False},
    ),
    "ProductLogits": (
        layers.ProductLogits,
        [NUMBERS[:, :1], NUMBERS[:, 1:2], NUMBERS[:, 2:3]],
        {},
    ),
    "Coupling": (
        lambda: layers.Coupling(regularizers.MeanL2(), ["dense/kernel"]),
        NUMBERS,
        {},
    ),
    "AttentionMask": (
        lambda: layers.AttentionMask(tasks=["a", "b"]),
        NUMBERS.reshape(3, 2, 2),
        {},
    ),
    "FoldTasks": (layers.FoldTasks, NUMBERS.reshape(3, 2, 2), {}),
    "MergeTasks": (layers.MergeTasks, NUMBERS.reshape(3, 2, 2), {}),
    "MixStages": (
        lambda: layers.MixStages(tasks=["a", "b"]),
        [NUMBERS.reshape(3, 2, 2), NUMBERS[::-1].reshape(3, 2, 2)],
        {},
    ),
    "ModulateTasks": (
        lambda: layers.ModulateTasks(tasks=["a", "b"]),
        NUMBERS[:, None],
        {},
    ),
    "SplitTasks": (lambda: layers.SplitTasks(2), NUMBERS, {}),
    "StitchTasks": (
        lambda: layers.StitchTasks(tasks=["a", "b"], subspaces=2),
        NUMBERS.reshape(3, 2, 2),
        {},
    ),
    # One task, as the check tries a single row too.
    "AverageMaps": (layers.AverageMaps, NUMBERS.reshape(1, 3, 1, 2, 2), {}),
    "CopyForTasks": (lambda: layers.CopyForTasks(tasks="ab"), NUMBERS, {}),
    "UnfoldTasks": (lambda: layers.UnfoldTasks(tasks=["a"]), NUMBERS, {}),
    "AddOwnExperts": (
        lambda: layers.AddOwnExperts(["a", "b"], tasks=["a/0", "b/0"], learned=True),
        NUMBERS.reshape(3, 2, 2),
        {},
    ),
    "MixExperts": (
        layers.MixExperts,
        [NUMBERS.reshape(3, 2, 2), NUMBERS[:, None, :2]],
        {},
    ),
    "MixOwnExperts": (
        layers.MixOwnExperts,
        [
            NUMBERS.reshape(3, 4, 1),
            NUMBERS[:, :1, None],
            np.stack([NUMBERS[:, :3]] * 2, 1),
        ],
        {},
    ),
    "SelectExperts": (
        lambda: layers.SelectExperts(
            ["/0", "/1", "/2"], tasks="ab", gamma=8.0, per_example=True
        ),
        NUMBERS,
        {},
    ),
    "SharedGate": (lambda: layers.SharedGate(tasks=["a/0", "/0"]), NUMBERS, {}),
    "SplitShared": (lambda: layers.SplitShared(1), NUMBERS.reshape(3, 2, 2), {}),
    "StreamsToExperts": (
        lambda: layers.StreamsToExperts(2, shared=1),
        NUMBERS.reshape(3, 2, 2),
        {},
    ),
    "TaskGate": (lambda: layers.TaskGate(["/0", "/1"], tasks="ab"), NUMBERS, {}),
    "Representation": (layers.Representation, NUMBERS, {}),
    "ScaleImage": (layers.ScaleImage, IMAGES, {}),
    "TabularEmbedding": (
        lambda: layers.TabularEmbedding([(-1.0, 0.0, 2.0), ()], [3, 4], [5], dim=2),
        TABLE,
        {"input_gradient": False},  # numbers are cast to float32 on purpose
    ),
    "TakeTasks": (
        lambda: layers.TakeTasks(["c", "a"], tasks="abcd"),
        NUMBERS.reshape(3, 4, 1),
        {},
    ),
    "TaskDense": (
        lambda: layers.TaskDense(2, tasks=["a", "b", "c"], activation="tanh"),
        NUMBERS,
        {},
    ),
    "TaskBatchNormalization": (
        lambda: layers.TaskBatchNormalization(tasks=["a", "b"]),
        NUMBERS.reshape(3, 2, 2),
        {},
    ),
    "TaskConv2D": (
        lambda: layers.TaskConv2D(2, 3, tasks=["a", "b"]),
        IMAGES[:, :3, :3, :2].astype("float32") / 255,
        {},
    ),
    "TaskLayerNormalization": (
        lambda: layers.TaskLayerNormalization(tasks=["a", "b"]),
        10 * np.stack([NUMBERS, NUMBERS[::-1]], axis=1),
        {},
    ),
    "SharedTensor": (layers.SharedTensor, NUMBERS, {}),
    "TaskOutputs": (
        lambda: layers.TaskOutputs(TASKS, group_heads(TASKS, ())),
        [NUMBERS[:, None, :1], NUMBERS[:, None, 1:2], NUMBERS[:, None, 1:], NUMBERS],
        {},
    ),
}
# An initializer (tests/layers/test_per_task.py), bases, and a layer whose dtype is that
# of the model in it (tests/trunks/test_stack.py).
NOT_A_LAYER = {"PerTask", "SharingWeights", "StackedLayer", "TaskModel"}
TRUNKS = {
    "CNN": (trunks.CNN([4, 4], normalization="batch", residual=True), IMAGES),
    "MLP": (trunks.MLP([8, 4], dropout=0.1, normalization="layer"), NUMBERS),
    "as_trunk": (trunks.as_trunk([keras.layers.Dense(4), trunks.MLP([3])]), NUMBERS),
}
SHARINGS = {
    "AdaTT": sharing.AdaTT(task_experts=2, shared_experts=1),
    "CGC": sharing.CGC(),
    "DSelectK": sharing.DSelectK(experts=3),
    "MMoE": sharing.MMoE(experts=3),
    "PLE": sharing.PLE(task_experts=2),
    "Branched": sharing.Branched(),
    "CrossStitch": sharing.CrossStitch(),
    "FiLM": sharing.FiLM(),
    "LowLevel": sharing.LowLevel(),
    "MTAN": sharing.MTAN(),
    "Sluice": sharing.Sluice(),
    "Hard": sharing.Hard(),
    "Soft": sharing.Soft(),
}
# What trunks are written against: tests/trunks/test_stack.py.
KITS = {"Inputs", "Kit", "Single", "Stack", "Stage", "Trunk"}
REGULARIZERS = {
    "GraphLaplacian": regularizers.GraphLaplacian(
        graph={("a", "b"): 1.0, ("c", "d"): 0.5}, tasks=["a", "b", "c", "d"]
    ),
    "GroupLasso": regularizers.GroupLasso(norm="linf"),
    "Hierarchical": regularizers.Hierarchical(
        groups={"one": ["a", "d"], "two": ["b", "c"]}, tasks=["a", "b", "c", "d"]
    ),
    "MeanL2": regularizers.MeanL2(),
    "TaskCovariance": regularizers.TaskCovariance(),
    "TensorTraceNorm": regularizers.TensorTraceNorm(kind="laf"),  # others: slow
    "TraceNorm": regularizers.TraceNorm(),
}
BASES = {"ProximalRegularizer", "TaskRegularizer"}
# What methods of balancing are written against: tests/balancing/test_base.py.
INTERFACE = {"Balancing", "GradientBalancing", "LossBalancing", "State", "Step"}
# Every method works with its defaults.
METHODS = sorted(set(balancing.__all__) - INTERFACE)
LOSSES = {"Pinball": losses.Pinball(tau=0.9)}
METRICS = {
    "CohenKappa": (
        lambda: metrics.CohenKappa(3, weightage="linear"),
        np.array([0, 1, 2, 1, 0]),
        np.eye(3, dtype="float32")[[0, 1, 1, 2, 0]],
    )
}


@pytest.mark.parametrize(
    ("module", "tested"),
    [
        (layers, {*LAYERS, *NOT_A_LAYER}),
        (trunks, {*TRUNKS, *KITS}),
        (sharing, set(SHARINGS)),
        (regularizers, {*REGULARIZERS, *BASES}),
        (losses, set(LOSSES)),
        (metrics, set(METRICS)),
    ],
)
def test_every_public_member_is_checked(module, tested):
    assert set(module.__all__) == tested


@pytest.mark.parametrize("name", LAYERS)
def test_built_in_layers_pass(name):
    make_layer, sample, options = LAYERS[name]
    testing.check_layer(make_layer, sample, **options)


@pytest.mark.parametrize("name", TRUNKS)
def test_built_in_trunks_pass(name):
    testing.check_trunk(*TRUNKS[name])


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n != "Hard")) for n in SHARINGS],
)
def test_built_in_sharings_pass(name):
    testing.check_sharing(SHARINGS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARINGS)
def test_built_in_sharings_pass_with_images(name):
    trunk = trunks.CNN([4, 4], activation="tanh")
    testing.check_sharing(SHARINGS[name], trunk, input_shape=(8, 8, 1))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_built_in_regularizers_pass(name):
    testing.check_regularizer(REGULARIZERS[name])


@pytest.mark.parametrize("name", METHODS)
def test_built_in_balancing_passes(name):
    method = getattr(balancing, name)()
    testing.check_balancing(method, task_counts=(3,), xla=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_built_in_balancing_passes_when_compiled(name):
    testing.check_balancing(getattr(balancing, name)())


@pytest.mark.parametrize("name", LOSSES)
def test_built_in_losses_pass(name):
    testing.check_loss(LOSSES[name])


@pytest.mark.parametrize("name", METRICS)
def test_built_in_metrics_pass(name):
    testing.check_metric(*METRICS[name])


def test_check_layer_takes_images_of_floats_and_rank_three():
    testing.check_layer(layers.ScaleImage, IMAGES.astype("float32") / 255)
    stacked = np.stack([NUMBERS, 2 * NUMBERS], axis=1)
    testing.check_layer(lambda: layers.TaskDense(1, tasks=["a", "b"]), stacked)
