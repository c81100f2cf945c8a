"""In a graph, weights are read wherever they are needed before they are updated."""

import pytest
import tensorflow as tf
from loops import Watch
from small import TRUNK, some_inputs, some_labels, some_tasks

import kmtl
from kmtl._prepare import prepare
from kmtl.sharing import CrossStitch, Hard, MMoE

pytestmark = pytest.mark.slow
X, Y = some_inputs(6), some_labels(some_tasks(), 6)


def before(operation):
    """The operations that must have run before an operation.

    TensorFlow takes the `IdentityN` of Keras optimizers apart: what goes in at one
    place comes out there, and waits for nothing else.
    """
    found, todo = set(), [operation]
    while todo:
        found.add(todo[-1])
        last = todo.pop()
        inputs = [_through_groups(tensor).op for tensor in last.inputs]
        todo += [op for op in [*inputs, *last.control_inputs] if op not in found]
    return found


def _through_groups(tensor):
    while tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


@pytest.mark.parametrize(
    ("sharing", "at"),
    [
        (Hard(), "representation"),
        (Hard(), "shared"),
        (MMoE(experts=3), "representation"),
        (CrossStitch(), "shared"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("every", [1, 2])
def test_updates_wait_for_every_reading(sharing, at, every):
    model = kmtl.build_mtl_model(
        (4,),
        some_tasks(),
        trunk=TRUNK,
        sharing=sharing,
        head_units=(5,),
        optimizer="sgd",
        balancing=Watch(at=at, every=every),
    )
    model.optimizer.build(model.trainable_variables)
    data = prepare(model, X, Y, sample_weight=None, training=True, whole=False)
    graph = tf.function(model.train_step).get_concrete_function(data).graph
    operations = graph.get_operations()
    updates = [op for op in operations if op.type == "AssignSubVariableOp"]
    assert len(updates) == len(model.trainable_variables)
    for update in updates:
        # Without the order by hand, of which TensorFlow may drop what seems to follow.
        value = _through_groups(update.inputs[1]).op
        earlier = before(value)
        for op in operations:
            if op.type == "ReadVariableOp" and op.inputs[0] is update.inputs[0]:
                assert op in earlier, op.name
