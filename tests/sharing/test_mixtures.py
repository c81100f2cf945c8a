"""Mixtures of experts: MMoE, DSelectK, CGC, PLE and AdaTT."""

import keras
import numpy as np
import pytest
from small import build, fit, some_inputs, some_tasks

import kmtl
from kmtl.sharing import CGC, PLE, AdaTT, DSelectK, MMoE
from kmtl.sharing._gate_inputs import gate_inputs

TASKS = [kmtl.BinaryTask(name) for name in ("a", "b", "c")]
TWO_STAGES = kmtl.trunks.MLP([8, 6], activation="tanh")
X = some_inputs(rows=7)
IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
MIXTURES = [
    MMoE(experts=3),
    DSelectK(experts=3),
    DSelectK(experts=4, per_example=True),
    CGC(shared_experts=2, task_experts=2),
    PLE(),
    PLE(shared_experts=1, task_experts=2),
    AdaTT(),
    AdaTT(task_experts=2, shared_experts=1),
]


def encoder(sharing, trunk=TWO_STAGES, tasks=TASKS, inputs=None):
    """The part of a model that a sharing makes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="inputs") if inputs is None else inputs
    return keras.Model(inputs, sharing(trunk, inputs, tasks))


def stack(model, name):
    """The stacked kernel and bias of a dense layer."""
    return model.get_layer(name).get_weights()


def dense(x, kernel, bias):
    return np.tanh(x @ kernel + bias)


def softmax(logits):
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


# MMoE and CGC mix vectors, as DSelectK does.
@pytest.mark.parametrize("sharing", MIXTURES[-3:], ids=repr)
def test_images_give_a_vector_a_task_and_maps_are_mixed_on_the_way(sharing):
    trunk = kmtl.trunks.CNN([4, 6])
    model = encoder(sharing, trunk, inputs=keras.Input((8, 8, 1), name="inputs"))
    outputs = np.asarray(model(IMAGES))
    assert outputs.shape == (3, 3, 6)
    assert np.isfinite(outputs).all()


def test_one_expert_is_hard_sharing():
    mixed = encoder(MMoE(experts=1))
    hard = encoder(kmtl.sharing.Hard())
    for name in ("trunk_dense_0", "trunk_dense_1"):
        kernel, bias = stack(mixed, name)
        hard.get_layer(name).set_weights([kernel[0], bias[0]])
    expected = np.repeat(np.asarray(hard(X))[:, None], 3, axis=1)
    np.testing.assert_allclose(mixed(X), expected, rtol=1e-6)


def test_mmoe_is_the_formula_of_the_paper():
    model = encoder(MMoE(experts=4))
    gates = model.get_layer("gate").get_weights()[0]
    for t in range(3):
        expected = np.zeros((7, 6))
        weights = softmax(X @ gates[t])
        for e in range(4):
            hidden = X
            for name in ("trunk_dense_0", "trunk_dense_1"):
                kernel, bias = stack(model, name)
                hidden = dense(hidden, kernel[e], bias[e])
            expected += weights[:, e : e + 1] * hidden
        np.testing.assert_allclose(model(X)[:, t], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sharing", MIXTURES, ids=repr)
def test_experts_start_pairwise_different(sharing):
    model = encoder(sharing, trunk=kmtl.trunks.MLP([8]))
    kernel, _ = stack(model, "trunk_dense_0")
    flat = kernel.reshape(len(kernel), -1)
    distances = np.abs(flat[:, None] - flat[None]).max(axis=-1)
    assert distances[~np.eye(len(flat), dtype=bool)].min() > 0.1


def test_ple_is_a_loop_over_levels_and_tasks():
    model = encoder(PLE(shared_experts=2, task_experts=2))
    streams, shared = [X] * 3, X
    for level in range(2):
        kernel, bias = stack(model, f"trunk_dense_{level}")
        seen = [streams[e // 2] for e in range(6)] + [shared] * 2
        experts = [dense(x, kernel[e], bias[e]) for e, x in enumerate(seen)]
        gates = model.get_layer(f"gate_{level}").get_weights()[0]
        mixed = []
        for t in range(3):
            chosen = [*experts[2 * t : 2 * t + 2], *experts[6:]]
            mixed.append(weighted(softmax(streams[t] @ gates[t]), chosen))
        if level == 0:
            gate = model.get_layer("shared_gate_0").get_weights()[0][..., 0]
            shared = weighted(softmax(shared @ gate.T), experts)
        streams = mixed
    np.testing.assert_allclose(model(X), np.stack(streams, 1), rtol=1e-4, atol=1e-6)


def weighted(weights, experts):
    return sum(weights[:, e : e + 1] * expert for e, expert in enumerate(experts))


def test_the_last_level_has_no_shared_gate():
    names = {layer.name for layer in encoder(PLE()).layers}
    assert {"gate_0", "gate_1", "shared_gate_0"} <= names
    assert "shared_gate_1" not in names


def test_ple_with_one_stage_is_cgc():
    trunk = kmtl.trunks.CNN([4], pooling="max")
    ple, cgc = (
        encoder(sharing, trunk, inputs=keras.Input((8, 8, 1), name="inputs"))
        for sharing in (PLE(task_experts=2), CGC(task_experts=2))
    )
    np.testing.assert_array_equal(ple(IMAGES), cgc(IMAGES))


def test_ple_without_shared_experts_is_independent_towers():
    model = encoder(PLE(shared_experts=0))
    expected = np.repeat(X[:, None], 3, axis=1)
    for name in ("trunk_dense_0", "trunk_dense_1"):
        kernel, bias = stack(model, name)
        expected = np.tanh(np.einsum("btf,tfu->btu", expected, kernel) + bias)
    np.testing.assert_allclose(model(X), expected, rtol=1e-4, atol=1e-6)


def test_a_task_does_not_hear_of_the_own_experts_of_others_in_cgc():
    model = encoder(CGC())
    before = np.asarray(model(X))
    kernel, bias = stack(model, "trunk_dense_1")
    kernel[1] += 1.0  # slices: a/0, b/0, c/0, /0
    model.get_layer("trunk_dense_1").set_weights([kernel, bias])
    changed = np.abs(np.asarray(model(X)) - before).max(axis=(0, 2)) > 0
    assert list(changed) == [False, True, False]


@pytest.mark.parametrize(("own", "shared"), [(1, 0), (2, 1)])
def test_adatt_is_a_loop_over_levels_and_tasks(own, shared):
    model = encoder(AdaTT(task_experts=own, shared_experts=shared))
    units = 3 + bool(shared)
    owner = [e // own for e in range(3 * own)] + [3] * shared
    streams = [X] * units
    for level in range(2):
        kernel, bias = stack(model, f"trunk_dense_{level}")
        experts = [dense(streams[o], kernel[e], bias[e]) for e, o in enumerate(owner)]
        gates = model.get_layer(f"gate_{level}").get_weights()[0]
        residual = [*stack(model, f"residual_{level}"), np.ones(len(owner))][0]
        streams = [
            weighted(softmax(streams[u] @ gates[u]), experts)
            + sum(residual[e] * x for e, x in enumerate(experts) if owner[e] == u)
            for u in range(len(gates))
        ]
    np.testing.assert_allclose(model(X), np.stack(streams, 1), rtol=1e-4, atol=1e-6)


def test_what_tasks_share_is_marked():
    shapes = {
        repr(sharing): [
            layer.output.shape[1:]
            for layer in encoder(sharing).layers
            if isinstance(layer, kmtl.layers.SharedTensor)
        ]
        for sharing in (MMoE(4), DSelectK(4), PLE(shared_experts=2), AdaTT())
    }
    assert list(shapes.values()) == [[(4, 6)], [(4, 6)], [(2, 6)], [(3, 6)]]
    independent = encoder(CGC(shared_experts=0)).layers
    assert not any(isinstance(x, kmtl.layers.SharedTensor) for x in independent)


def test_gates_of_a_model_are_shown_by_name():
    model = build(some_tasks(), sharing=PLE(task_experts=2), trunk=TWO_STAGES)
    frames = model.sharing_weights(some_inputs())
    assert list(frames) == ["gate_0", "shared_gate_0", "gate_1"]
    assert list(frames["gate_1"].index) == ["click", "colour", "price", "buy"]
    assert list(frames["gate_1"].columns) == ["(own)/0", "(own)/1", "shared/0"]
    assert frames["shared_gate_0"].columns[0] == "click/0"
    for frame in frames.values():
        np.testing.assert_allclose(frame.sum(axis=1), 1.0, rtol=1e-5)


def test_the_entropy_is_trained_and_counted_once():
    sharing = DSelectK(experts=4, entropy=0.5)
    model = build([TASKS[0]], sharing=sharing, loss_weights={"a": 0.0})
    code = model.get_layer("gate").code
    start = np.array(code)
    logs = fit(model, some_inputs(), {"a": np.ones(24)}, batch_size=24)
    # Two selectors near 1/4 for each of 4 experts; the loss of the task has no weight.
    assert logs["loss"] == pytest.approx(0.5 * 2 * np.log(4), rel=1e-2)
    assert len(model.losses) == 1
    assert (np.abs(np.array(code)) > np.abs(start)).all()


def test_gates_see_numbers_as_they_are_and_images_in_cells():
    parts = {
        "row": keras.Input((4,), name="row"),
        "ids": keras.Input((9,), dtype="int32", name="ids"),
        "image": keras.Input((20, 5, 3), dtype="uint8", name="image"),
        "words": keras.Input((None, 6), name="words"),
    }
    # 20 pixels in cells of 3 make 7, and 5 are fewer than 8.
    assert gate_inputs(parts).shape == (None, 4 + 7 * 5 * 3 + 6)
    assert gate_inputs({"row": parts["row"]}) is parts["row"]


def test_the_cells_of_an_image_are_means_of_its_pixels():
    inputs = keras.Input((16, 16, 1))
    seen = keras.Model(inputs, gate_inputs(inputs))
    image = np.random.default_rng(0).normal(size=(2, 16, 16, 1))
    expected = image.reshape(2, 8, 2, 8, 2).mean(axis=(2, 4)).reshape(2, 64)
    np.testing.assert_allclose(seen(image), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (keras.Input((9,), dtype="int32"), r"floats or bytes.*Hard\(\)"),
        (keras.Input((2, 2, 2, 2, 2)), "inputs of 2 to 5 axes"),
    ],
)
def test_inputs_that_gates_cannot_see_are_errors(inputs, message):
    with pytest.raises(ValueError, match=message):
        gate_inputs(inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MMoE(0), "`experts` must be a positive integer. Received: 0"),
        (lambda: DSelectK(1), "`k` must be at most.*Received: k=2, experts=1"),
        (lambda: CGC(task_experts=0), "`task_experts` must be a positive integer"),
        (lambda: PLE(shared_experts=-1), "`shared_experts` must be an integer of at"),
        (lambda: AdaTT(shared_experts=0.5), "`shared_experts` must be an integer"),
    ],
)
def test_wrong_arguments_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
