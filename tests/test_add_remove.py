"""`add_task` and `remove_task`: what stays is equal bit by bit."""

import keras
import numpy as np
import pytest
from growing import (
    ALL,
    CLOSED,
    IMAGES,
    NEW,
    SHARINGS,
    X,
    Y,
    assert_kept,
    assert_same_state,
    generic_trunk,
    model_of,
    new_task,
    slot,
)
from small import fit, some_labels, some_tasks

import kmtl
from kmtl import sharing
from kmtl.surgery._slices import added, disowned, removed


@pytest.mark.parametrize("name", ALL)
def test_a_new_task_leaves_the_others_as_they_are_and_can_go_again(name):
    model = model_of(name, head_units=(5,))
    model.train_on_batch(X, Y)
    larger = kmtl.add_task(model, new_task(), train="all")
    assert larger.task_names == [*model.task_names, "new"]
    assert_kept(model, larger)
    restored = kmtl.remove_task(larger, "new")
    assert restored.get_config() == model.get_config()
    assert_same_state(model, restored)


@pytest.mark.parametrize("name", ALL)
def test_training_the_new_task_leaves_the_others_as_they_are(name):
    model = model_of(name)
    model.train_on_batch(X, Y)
    larger = kmtl.add_task(model, new_task())
    before = larger(X)["new"]
    larger.train_on_batch(X, {**Y, **NEW})
    assert_kept(model, larger)
    assert not np.array_equal(larger(X)["new"], before)


@pytest.mark.parametrize("name", [*ALL, pytest.param("AdaTT", marks=pytest.mark.slow)])
def test_removing_a_task_leaves_the_others_as_they_are(name):
    model = model_of(name)
    model.train_on_batch(X, Y)
    smaller = kmtl.remove_task(model, "click")
    assert smaller.task_names == ["colour", "price", "buy"]
    assert_kept(model, smaller)
    logs = smaller.train_on_batch(X, some_labels(smaller.tasks), return_dict=True)
    assert np.isfinite(logs["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARINGS)
def test_tasks_come_and_go_on_images(name):
    trunk = kmtl.trunks.CNN([4, 6], normalization="batch", residual=True, dropout=0.1)
    model = model_of(name, inputs=(8, 8, 1), trunk=trunk)
    labels = some_labels(some_tasks(), rows=6)
    model.train_on_batch(IMAGES, labels)
    larger = kmtl.add_task(model, new_task())
    fit(larger, IMAGES, {**labels, "new": labels["buy"]})
    assert_kept(model, larger, IMAGES)
    assert_kept(model, kmtl.remove_task(larger, "click"), IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Soft", "Hard", "MMoE", "CrossStitch"])
def test_statistics_of_frozen_copies_of_any_keras_trunk_do_not_move(name):
    model = model_of(name, trunk=generic_trunk())
    model.train_on_batch(X, Y)
    larger = kmtl.add_task(model, new_task())
    larger.train_on_batch(X, {**Y, **NEW})
    assert_kept(model, larger)


@pytest.fixture(scope="module")
def hard():
    model = model_of()
    model.train_on_batch(X, Y)
    return model


@pytest.mark.parametrize("name", CLOSED)
def test_where_gates_weigh_all_experts_there_is_no_place_for_a_task(name):
    with pytest.raises(ValueError, match=r"no place for task 'new'.*gate_0"):
        kmtl.add_task(model_of(name), new_task())


def test_a_sharing_with_a_number_of_tasks_in_its_graph_is_refused():
    def stacked(trunk, inputs, tasks):
        return keras.ops.stack([trunk(inputs)] * len(tasks), axis=-2)

    with pytest.raises(ValueError, match=r"cannot fit the sharing.*with all tasks"):
        kmtl.add_task(model_of(sharing=stacked), new_task())


def test_a_new_tower_of_soft_sharing_starts_at_the_mean_and_is_drawn_to_it():
    soft = sharing.Soft(kmtl.regularizers.MeanL2(0.1))
    model = model_of(sharing=soft, trunk=kmtl.trunks.MLP([3]))
    model.train_on_batch(X, Y)
    larger = kmtl.add_task(model, new_task())
    kernel = larger.get_layer("trunk_dense_0").kernel.numpy()
    np.testing.assert_allclose(kernel[-1], kernel[:-1].mean(axis=0), rtol=1e-6)
    assert larger.towers.weights[0].tasks[-1] == "new"


def test_stitches_to_a_new_task_start_at_zero():
    model = model_of("CrossStitch")
    larger = kmtl.add_task(model, new_task())
    stitch = larger.sharing_weights()["stitch_0"]
    assert not stitch.loc["click":"buy", "new"].any()
    assert stitch.loc["new", "new"] == pytest.approx(0.9)


def test_what_the_optimizer_keeps_for_the_others_is_kept(hard):
    larger = kmtl.add_task(hard, new_task(), train="all")
    assert larger.optimizer.iterations == hard.optimizer.iterations
    mine = {v.path.split("/", 1)[1]: v.numpy() for v in larger.optimizer.variables}
    kept = {v.path.split("/", 1)[1]: v.numpy() for v in hard.optimizer.variables}
    for path, value in kept.items():
        np.testing.assert_array_equal(mine.pop(path), value, err_msg=path)
    assert len(mine) == 4  # two moments of a kernel and a bias
    assert not np.any([value.any() for value in mine.values()])


def test_slots_of_a_removed_slice_are_gone_and_the_others_stay(hard):
    smaller = kmtl.remove_task(hard, "click")  # in one stack with "buy"
    kept = slot(smaller, "head_2_out_kernel_momentum")
    np.testing.assert_array_equal(kept, slot(hard, "head_0_out_kernel_momentum")[1:])
    assert kept.any()


@pytest.mark.slow
def test_the_old_model_stays_as_it_is(hard):
    before = [v.numpy().copy() for v in (*hard.variables, *hard.optimizer.variables)]
    larger = kmtl.add_task(hard, new_task(), train="all")
    larger.train_on_batch(X, {**Y, **NEW})
    fit(kmtl.remove_task(hard, "click"), X, {"buy": Y["buy"]})
    after = [v.numpy() for v in (*hard.variables, *hard.optimizer.variables)]
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, two)


def test_training_a_head_alone_moves_nothing_else(hard):
    larger = kmtl.add_task(hard, new_task(head_units=(3,)))
    before = {v.path: v.numpy() for v in larger.weights}
    fit(larger, X, {**Y, **NEW}, epochs=2)
    moved = {v.path for v in larger.weights if np.any(v != before[v.path])}
    assert moved == {
        f"head_4_{layer}/{weight}"
        for layer in ("hidden_0", "out")
        for weight in ("kernel", "bias")
    }


def test_everything_trains_once_it_is_unfrozen(hard):
    larger = kmtl.add_task(hard, new_task())
    for name in (None, *larger.task_names):
        larger.set_trainable(name, True)
    before = larger.get_weights()
    larger.train_on_batch(X, {**Y, **NEW})
    moved = [np.any(a != b) for a, b in zip(before, larger.get_weights(), strict=True)]
    assert sum(moved) >= len(larger.trainable_variables)


def test_what_is_shared_can_be_frozen_alone():
    model = model_of()
    model.set_trainable(None, False)
    before = [w.copy() for w in model.encoder.get_weights()]
    model.train_on_batch(X, Y)
    for one, two in zip(before, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_shared_experts_stay_while_a_task_gets_its_own():
    model = model_of("CGC")
    larger = kmtl.add_task(model, new_task())
    (dense,) = [la for la in larger.layers if la.name == "trunk_dense_0"]
    before = dense.kernel.numpy()
    larger.train_on_batch(X, {**Y, **NEW})
    moved = np.any(dense.kernel.numpy() != before, axis=(1, 2))
    assert {name for name, m in zip(dense.tasks, moved, strict=True) if m} == {
        name for name in dense.tasks if name.startswith("new")
    }


def test_a_tower_that_others_take_from_stays_as_nobodys():
    model = model_of("CrossStitch")
    smaller = kmtl.remove_task(model, "colour")
    assert list(smaller.sharing_weights()["stitch_0"]) == [
        "click",
        "(colour)",
        "price",
        "buy",
    ]
    again = kmtl.add_task(smaller, kmtl.MulticlassTask("colour", classes=3))
    assert_kept(smaller, again)
    assert_kept(smaller, kmtl.remove_task(again, "colour"))


def test_a_loaded_model_takes_and_loses_tasks(hard, tmp_path):
    hard.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    larger = kmtl.add_task(loaded, new_task())
    larger.train_on_batch(X, {**Y, **NEW})
    assert_kept(hard, larger)
    larger.save(tmp_path / "larger.keras")
    again = keras.models.load_model(tmp_path / "larger.keras")
    assert_same_state(larger, again)
    assert_kept(larger, kmtl.remove_task(again, "price"))
    again.train_on_batch(X, {**Y, **NEW})
    assert_kept(hard, again)


@pytest.mark.slow
def test_a_grown_model_is_exported(hard, tmp_path):
    larger = kmtl.add_task(hard, new_task())
    path = kmtl.export_saved_model(larger, tmp_path)
    assert (path / "saved_model.pb").exists()


def test_a_new_head_of_its_own(hard):
    head = [keras.layers.Dense(3, name="h_0"), keras.layers.Dense(1, name="h_1")]
    larger = kmtl.add_task(hard, new_task(head=head))
    larger.train_on_batch(X, {**Y, **NEW})
    assert_kept(hard, larger)
    other = kmtl.BinaryTask("other", head=keras.layers.Dense(1, name="h_0"))
    with pytest.raises(ValueError, match="layer 'h_0', and so has the model"):
        kmtl.add_task(larger, other)


@pytest.mark.slow
def test_a_new_task_may_see_others():
    first = kmtl.BinaryTask("first", condition_on="buy")
    model = model_of(tasks=[first, *some_tasks()])
    larger = kmtl.add_task(model, new_task(condition_on=["colour", "first"]))
    fit(larger, X, {**some_labels(model.tasks[1:]), "first": Y["buy"], **NEW})
    assert_kept(model, larger)
    smaller = kmtl.remove_task(larger, "price")
    assert_kept(larger, smaller)
    assert_kept(smaller, kmtl.remove_task(smaller, "new"))


def test_a_new_task_may_be_a_product(hard):
    larger = kmtl.add_task(hard, kmtl.ProductTask("new", ["click", "buy"]))
    assert_kept(hard, larger)
    out = larger(X)
    np.testing.assert_allclose(out["new"], out["click"] * out["buy"], rtol=1e-5)


def test_one_task_can_be_left_and_grow_again():
    model = model_of(tasks=some_tasks()[:2])
    one = kmtl.remove_task(model, "click")
    assert_kept(model, one)
    assert_kept(one, kmtl.add_task(one, new_task()))


def test_label_statistics_of_old_tasks_stay():
    model = model_of(tasks=[kmtl.RegressionTask("price"), kmtl.BinaryTask("buy")])
    fit(model, X, {"price": Y["price"], "buy": Y["buy"]})
    larger = kmtl.add_task(model, kmtl.RegressionTask("new"))
    fit(larger, X, {"price": 10 * Y["price"], "buy": Y["buy"], "new": Y["price"]})
    assert_kept(model, larger)
    assert np.isfinite(larger.predict(X, verbose=0)["new"]).all()


def test_hidden_layers_are_those_of_the_other_heads():
    model = model_of(head_units=(5,))
    larger = kmtl.add_task(model, new_task())
    assert larger.get_layer("head_4_hidden_0").units == 5


@pytest.mark.slow
def test_compiled_training_leaves_the_others_as_they_are():
    model = model_of("Soft")
    model.train_on_batch(X, Y)
    larger = kmtl.add_task(model, new_task())
    larger.compile(run_eagerly=False, jit_compile=True)
    fit(larger, X, {**Y, **NEW}, epochs=2)
    assert_kept(model, larger)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
@pytest.mark.parametrize("name", ["Hard", "Soft", "CrossStitch"])
def test_tasks_come_and_go_in_any_precision(name, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = model_of(name)
        model.train_on_batch(X, Y)
        larger = kmtl.add_task(model, new_task())
        larger.train_on_batch(X, {**Y, **NEW})
        assert_kept(model, larger)
    finally:
        keras.config.set_dtype_policy(before)


def test_every_sharing_is_tested():
    assert {*SHARINGS, *CLOSED} == set(sharing.__all__)


def test_slices_of_a_new_task_are_those_of_another():
    grow = added(["a", "b"], "new")
    assert grow(["a", "b"]) == ["a", "b", "new"]
    assert grow(["a/0", "a/1", "/0"]) == ["a/0", "a/1", "new/0", "new/1", "/0"]
    assert grow(["/0", "/1"]) == ["/0", "/1"]


def test_slices_are_dropped_or_disowned():
    names = ["a/0", "ab", "/0"]
    assert removed("a")(names) == ["ab", "/0"]
    assert disowned("a", names)(names) == ["(a)/0", "ab", "/0"]
    assert disowned("a", ["(a)/0"])(names) == ["((a))/0", "ab", "/0"]
