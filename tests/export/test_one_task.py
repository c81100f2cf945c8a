"""The part of a model that one task needs gives what the whole model gives."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from encoders import move_weights
from growing import (
    CLOSED,
    IMAGES,
    NEW,
    SHARINGS,
    X,
    Y,
    assert_same_state,
    generic_trunk,
    model_of,
    new_task,
)
from small import build, some_inputs, some_tasks

import kmtl
from kmtl import AuxiliaryTask, BinaryTask, MulticlassTask, ProductTask, RegressionTask
from kmtl.surgery._one_task import one_task

QUICK = ("CrossStitch",)
MLP = kmtl.trunks.MLP([8, 6], activation="tanh")
EVERY = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in {**SHARINGS, **CLOSED}
]
# Those whose towers, experts and gates are of use to one task alone.
APART = ("Soft", "CGC", "FiLM", "MTAN", "Branched", "MMoE", "DSelectK")


def moved(model):
    move_weights(model)
    return model


def traced(model, name):
    """The graph that an export gets."""
    spec = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype),
        model.input,
    )
    function = tf.function(
        one_task(model, name), input_signature=[spec], autograph=False
    )
    return function.get_concrete_function()


def assert_parts_equal(model, x=X, rtol=1e-5, atol=1e-6):
    expected = model(x, training=False)
    for name, output in expected.items():
        part = traced(model, name)(keras.tree.map_structure(tf.constant, x))
        assert part.dtype == output.dtype
        np.testing.assert_allclose(part, output, rtol=rtol, atol=atol, err_msg=name)


def products(graph):
    """The shapes that go into matrix products, the batch left out."""
    return sorted(
        tuple(tuple(size for size in x.shape if size) for x in operation.inputs)
        for operation in graph.get_operations()
        if "MatMul" in operation.type
    )


def paths_read(model, name):
    """The weights of stacks and layers that one task reads, by layer."""
    read = {variable.ref() for variable in traced(model, name).variables}
    return {v.path.split("/")[0] for v in model.variables if v.value.ref() in read}


@pytest.mark.parametrize("name", EVERY)
def test_every_task_equals_the_whole_model(name):
    assert_parts_equal(moved(model_of(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHARINGS, *CLOSED])
def test_every_task_equals_the_whole_model_on_images(name):
    trunk = kmtl.trunks.CNN([4, 6], normalization="batch", residual=True, dropout=0.1)
    model = moved(model_of(name, inputs=(8, 8, 1), trunk=trunk))
    assert_parts_equal(model, IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", APART)
def test_every_task_equals_the_whole_model_on_copies_of_any_trunk(name):
    assert_parts_equal(moved(model_of(name, trunk=generic_trunk())))


@pytest.fixture(scope="module")
def family():
    """Tasks that see others, a product, an auxiliary one, and heads of their own."""
    tasks = [
        BinaryTask("a"),
        MulticlassTask("b", classes=3, condition_on="a"),
        RegressionTask("c", condition_on=["a", "b"], standardize=False),
        BinaryTask("own", condition_on="a", head=keras.layers.Dense(1)),
        BinaryTask("alone"),
        AuxiliaryTask(BinaryTask("hidden")),
        ProductTask("product", ["hidden", "alone"], label="x"),
    ]
    return moved(build(tasks, trunk=MLP, sharing=kmtl.sharing.Soft(), head_units=(5,)))


def test_tasks_that_need_others_equal_the_whole_model(family):
    assert_parts_equal(family)


def test_only_parents_are_read_beside_a_task(family):
    trunk = {"trunk_dense_0", "trunk_dense_1"}
    heads = paths_read(family, "b") - trunk
    assert heads == {f"head_{i}_{name}" for i in (0, 1) for name in ("hidden_0", "out")}


def test_a_product_has_no_tower(family):
    sizes = products(traced(family, "product").graph)
    assert ((6, 8), (8, 8, 6)) not in sizes
    assert ((2, 8), (2, 8, 6)) in sizes


def test_no_other_variables_than_those_of_the_model_are_read(family):
    graph = traced(family, "product").graph
    known = {id(variable.value.handle) for variable in family.variables}
    assert {id(tensor) for tensor in graph.external_captures} <= known


def test_weights_are_read_when_it_is_called(family):
    predict = traced(family, "alone")
    before = predict(tf.constant(X)).numpy()
    move_weights(family)
    after = predict(tf.constant(X))
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, family(X)["alone"], rtol=1e-5)


def test_only_tasks_that_are_predicted_have_a_part(family):
    with pytest.raises(ValueError, match=r"`name` names an unknown task.*'hidden'"):
        one_task(family, "hidden")


def test_no_tensor_has_the_axis_of_the_tasks():
    model = build([BinaryTask(f"task_{i}") for i in range(50)], head_units=(5,))
    operations = traced(model, "task_7").graph.get_operations()
    large = {
        operation.type
        for operation in operations
        for tensor in operation.outputs
        if tensor.shape.rank and 50 in tensor.shape
    }
    assert large == {"ReadVariableOp"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "Soft")) for n in APART]
)
def test_products_are_as_large_as_those_of_a_model_of_one_task(name):
    sharing, task = SHARINGS[name], BinaryTask("click")
    many = build([*some_tasks(), BinaryTask("more")], trunk=MLP, sharing=sharing)
    one = build([task], trunk=MLP, sharing=sharing)
    assert products(traced(many, "click").graph) == products(traced(one, "click").graph)


@pytest.mark.slow
def test_branches_of_other_groups_are_left_out():
    groups = [["click", "colour"], ["price", "buy"]]
    sharing = kmtl.sharing.Branched(groups, shared_stages=0)
    model = moved(build(some_tasks(), trunk=MLP, sharing=sharing))
    assert_parts_equal(model)
    assert ((1, 8), (1, 8, 6)) in products(traced(model, "buy").graph)


def attention(trunk, inputs, tasks):
    towers = kmtl.sharing.Soft()(trunk, inputs, tasks)
    return keras.layers.MultiHeadAttention(1, 2)(towers, towers)


def centred(trunk, inputs, tasks):
    towers = kmtl.sharing.Soft()(trunk, inputs, tasks)
    return towers - keras.ops.mean(towers, axis=-2, keepdims=True)


def stacked(trunk, inputs, tasks):
    del trunk
    return keras.ops.stack([keras.layers.Dense(3)(inputs) for _ in tasks], axis=-2)


@pytest.mark.parametrize("sharing", [attention, centred, stacked])
def test_a_sharing_that_mixes_slices_unasked_runs_whole(sharing):
    assert_parts_equal(moved(build(some_tasks()[:2], sharing=sharing)))


def test_the_graph_of_the_model_stays_as_it_is(family):
    outputs = [layer.output for layer in family.encoder.layers]
    one_task(family, "b")
    after = [layer.output for layer in family.encoder.layers]  # or it has several
    assert all(one is two for one, two in zip(outputs, after, strict=True))


@pytest.mark.slow
def test_the_model_is_trained_and_saved_as_before(tmp_path):
    model, other = model_of("Soft"), model_of("Soft")
    for name in model.task_names:
        traced(model, name)
    model.train_on_batch(X, Y)
    other.train_on_batch(X, Y)
    assert_same_state(model, other)
    model.save(tmp_path / "m.keras")
    assert_same_state(keras.models.load_model(tmp_path / "m.keras"), other)


def test_inputs_by_name_and_heads_at_several_places():
    model = build(
        some_tasks(),
        inputs={"left": (4,), "right": (2,)},
        trunk=MLP,
        sharing=kmtl.sharing.LowLevel({"buy": 0}),
    )
    assert_parts_equal(moved(model), {"left": X, "right": X[:, :2]})
    assert "trunk_dense_1" not in paths_read(model, "buy")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Hard", "MMoE", "Soft", "CrossStitch", "LowLevel"])
def test_heads_of_maps(name):
    tasks = [
        MulticlassTask("part", classes=3, head=keras.layers.Conv2D(3, 1)),
        BinaryTask("edge", head=keras.layers.Conv2D(1, 1), condition_on="click"),
        RegressionTask(
            "size",
            standardize=False,
            head=[keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)],
        ),
        BinaryTask(
            "click",
            head=[keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)],
        ),
    ]
    sharing = {**SHARINGS, "LowLevel": kmtl.sharing.LowLevel({"part": 0})}[name]
    trunk = kmtl.trunks.CNN([4, 4], pooling=None)
    model = build(tasks, inputs=(8, 8, 1), trunk=trunk, sharing=sharing)
    assert_parts_equal(moved(model), IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "atol"), [("mixed_float16", 2e-3), ("float64", 0)])
@pytest.mark.parametrize("name", ["Hard", "Soft", "CGC", "CrossStitch", "MTAN"])
def test_any_precision(name, policy, atol):
    floatx = "float64" if policy == "float64" else "float32"
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx(floatx)
    try:
        assert_parts_equal(moved(model_of(name)), some_inputs(), atol=atol)
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARINGS)
def test_models_after_surgery_and_from_files(name, tmp_path):
    larger = kmtl.add_task(model_of(name), new_task())
    larger.train_on_batch(X, {**Y, **NEW})
    kmtl.remove_task(larger, "colour").save(tmp_path / "m.keras")
    assert_parts_equal(keras.models.load_model(tmp_path / "m.keras"))


@pytest.mark.slow
def test_masks_of_sequences_are_kept():
    trunk = [keras.layers.Embedding(9, 6, mask_zero=True), keras.layers.GRU(5)]
    inputs = keras.Input((7,), dtype="int32")
    model = moved(build(some_tasks(), inputs=inputs, trunk=trunk))
    rng = np.random.default_rng(0)
    assert_parts_equal(model, rng.integers(0, 9, (5, 7)).astype("int32"))


@pytest.mark.slow
def test_a_part_of_hundreds_of_tasks_is_made_in_well_under_a_second():
    model = build([BinaryTask(f"task_{i}") for i in range(617)])
    traced(model, "task_0")
    start = time.perf_counter()
    traced(model, "task_300")
    assert time.perf_counter() - start < 0.5
