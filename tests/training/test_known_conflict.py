"""Two tasks that want opposite things of the same inputs are seen to conflict."""

import keras
import pytest
from loops import Watch
from small import build, fit, some_inputs, some_labels

import kmtl
from kmtl import sharing as kinds
from kmtl.layers import StackedLayer, StitchTasks

TRUNK = kmtl.trunks.MLP([8, 8], activation="tanh")
TASKS = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
X = some_inputs()
WANTED = some_labels(TASKS)["a"]
Y = {"a": WANTED, "b": 1 - WANTED}

AT_REPRESENTATION = [
    kinds.AdaTT(),
    kinds.Branched(),
    kinds.Branched([["a", "b"]], shared_stages=0),
    kinds.CGC(),
    kinds.DSelectK(experts=4),
    kinds.FiLM(),
    kinds.Hard(),
    kinds.LowLevel({"a": 0, "b": 0}),
    kinds.MMoE(experts=3),
    kinds.MTAN(),
    kinds.PLE(),
]
# As much of the other tower as of the own one.
AT_SHARED = [kinds.CrossStitch(own=0.5), kinds.Sluice(own=0.25)]


def least_conflict(sharing):
    """What the cosine must be below: -1 but where tasks have ways of their own.

    In AdaTT a task weighs its own expert once more; in a sluice network its own row of
    an inner stitch also goes past all others to its head.
    """
    return {"AdaTT": -0.5, "Sluice": -0.1}.get(type(sharing).__name__, -0.9)


def conflict(sharing, at):
    """The cosine that is logged of a step before which both tasks compute the same.

    With small heads all probabilities are near 1/2, where the gradients of opposite
    labels are opposite.
    """
    model = build(TASKS, trunk=TRUNK, sharing=sharing, balancing=Watch(at=at))
    for layer in model.layers:
        if isinstance(layer, StackedLayer) and not isinstance(layer, StitchTasks):
            for weight in layer.weights:
                weight.assign(keras.ops.broadcast_to(weight[:1], weight.shape))
    for layer in model.heads.layers:
        for weight in layer.weights:
            weight.assign(0.01 * weight)
    return fit(model, X, Y, batch_size=len(X))["gradient_cosine"]


@pytest.mark.slow
@pytest.mark.parametrize("sharing", AT_REPRESENTATION, ids=repr)
def test_a_conflict_is_seen_where_tasks_part(sharing):
    assert conflict(sharing, "representation") < least_conflict(sharing)


@pytest.mark.parametrize("sharing", AT_SHARED, ids=repr)
def test_a_conflict_is_seen_in_shared_weights(sharing):
    assert conflict(sharing, "shared") < least_conflict(sharing)


@pytest.mark.slow
@pytest.mark.parametrize("sharing", AT_REPRESENTATION, ids=repr)
def test_a_conflict_where_tasks_part_is_one_in_shared_weights(sharing):
    assert conflict(sharing, "shared") < least_conflict(sharing)


@pytest.mark.parametrize("at", ["representation", "shared"])
def test_nothing_is_shared_by_coupled_towers(at):
    with pytest.raises(ValueError, match="each task has weights of its own"):
        build(TASKS, sharing=kinds.Soft(), balancing=kmtl.balancing.UPGrad(at=at))


@pytest.mark.parametrize("sharing", AT_SHARED, ids=repr)
def test_a_sharing_of_weights_alone_asks_for_them(sharing):
    with pytest.raises(ValueError, match='with `at="shared"`'):
        build(TASKS, sharing=sharing, balancing=kmtl.balancing.UPGrad())


def test_every_sharing_is_here():
    here = {type(sharing).__name__ for sharing in AT_REPRESENTATION + AT_SHARED}
    assert here | {"Soft"} == set(kinds.__all__)
