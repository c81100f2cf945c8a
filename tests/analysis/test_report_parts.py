"""The parts of the report: histories, numbers, calibration, networks."""

import keras
import numpy as np
import pandas as pd
import pytest

import kmtl
from kmtl.analysis._comparison import Comparison
from kmtl.analysis._report._canvas import Canvas
from kmtl.analysis._report._curves import draw_task, read_history
from kmtl.analysis._report._findings import find
from kmtl.analysis._report._network import count_weights, read_network
from kmtl.analysis._report._network_svg import lay_out
from kmtl.analysis._report._parts import read_parts
from kmtl.analysis._report._results import constant_value, measure
from kmtl.analysis._report._task_plots import calibration_error, draw_task_plot
from kmtl.analysis._report._words import name_list, number, percent, signed

TASKS = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b"), kmtl.RegressionTask("c")]


def build(sharing, tasks=TASKS):
    trunk = kmtl.trunks.MLP([8, 4])
    return kmtl.build_mtl_model((6,), tasks, trunk=trunk, sharing=sharing)


def forms(model):
    return [(b.kind, b.slices) for b in read_network(model).blocks]


def test_logs_belong_to_the_task_with_the_longest_name_that_fits():
    logs = {"loss": [2.0], "a_loss": [1.0], "a_b_loss": [3.0], "val_a_b_weight": [4.0]}
    curves = read_history(logs, ["a", "a_b"])
    assert curves.by_task["a"]["loss"]["train"] == [1.0]
    assert curves.by_task["a_b"]["loss"]["train"] == [3.0]
    assert curves.weights["a_b"] == [4.0]
    assert curves.total["train"] == [2.0]


def test_the_best_epoch_is_counted_from_one_and_unknown_without_a_number():
    logs = {"val_a_loss": [np.nan, 0.5, 0.7], "val_b_loss": [np.nan]}
    curves = read_history(logs, ["a", "b"])
    assert (curves.best_epoch("a"), curves.best_epoch("b")) == (2, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345, "12,345"), (0.93274, "0.9327"), (7.1478, "7.148"), (18563.1, "18,563"),
     (0.0, "0.0000"), (1e-7, "1e-07"), (float("nan"), "\u2013"), (None, "\u2013")],
)  # fmt: skip
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


def test_a_share_that_is_not_all_does_not_read_as_all():
    assert [percent(s) for s in (0, 0.0004, 0.5, 0.9996, 1)] == [
        "0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100 %"
    ]  # fmt: skip


def test_gains_are_points_or_percent():
    assert signed(-0.01, is_absolute=True) == "\u22120.0100"
    assert signed(0.25, is_absolute=False) == "+25.0 %"


def test_long_lists_say_how_many_more_there_are():
    assert name_list("abcdefgh") == "a, b, c, d, e, f and 2 more"


def test_the_error_of_calibration_is_that_of_its_definition():
    labels = np.array([0.0, 1.0, 1.0, 1.0])
    predicted = np.array([0.15, 0.15, 0.75, 0.75])  # seen: 0.5 and 1
    assert calibration_error(labels, predicted) == pytest.approx(0.5 * (0.35 + 0.25))


def test_a_constant_has_half_an_auc_and_the_largest_class():
    task, labels = kmtl.BinaryTask("a"), np.array([0, 0, 0, 1, np.nan])
    assert constant_value(task, "auc", labels) == 0.5
    assert constant_value(task, "accuracy", labels) == 0.75
    assert np.isnan(constant_value(task, "auc", np.zeros(3)))


class Own(keras.metrics.MeanSquaredError):
    """An error of the user's own; Keras says which way it is better."""


def test_a_metric_with_a_name_of_its_own_is_compared():
    def own(true, predicted):
        return abs(true - predicted)

    task = kmtl.RegressionTask("c", metrics=[Own(name="my_mse"), own])
    model = kmtl.build_mtl_model((2,), [task], trunk=kmtl.trunks.MLP([1]))
    model.compile(run_eagerly=True)
    x, y = np.zeros((4, 2)), {"c": [1.0, 2.0, 3.0, 4.0]}
    model.adapt_labels(y)
    part, baselines = read_parts(model, (x, y))[0], {"c_my_mse": 0.1, "c_own": 0.1}
    ours, unknown, _ = measure(model, part, read_history(None, []), baselines)
    assert ours.gain == pytest.approx((0.1 - ours.test) / 0.1)
    assert np.isnan(unknown.gain)
    assert [
        f.text for f in find([ours], read_history(None, []), [], {}, None, None)
    ] == ["Worse than the baseline: c."]


def test_a_score_with_a_name_of_its_own_gains_points():
    metrics = [keras.metrics.R2Score(name="fit")]
    task = kmtl.RegressionTask("c", metrics=metrics)
    model = kmtl.build_mtl_model((2,), [task], trunk=kmtl.trunks.MLP([1]))
    model.compile(run_eagerly=True)
    x, y = np.zeros((4, 2)), {"c": [1.0, 2.0, 3.0, 4.0]}
    model.adapt_labels(y)
    part, curves = read_parts(model, (x, y))[0], read_history(None, [])
    fit, _ = measure(model, part, curves, {"c_fit": 0.5})
    assert fit.is_absolute
    assert fit.gain == pytest.approx(fit.test - 0.5)
    score = kmtl.callbacks.CombinedScore(["c_fit"], baselines={"c_fit": 0.5})
    data = {"validation_data": (x, y), "verbose": 0}
    logs = model.fit(x, y, callbacks=[score], **data).history
    expected = 100 * (logs["val_c_fit"][0] - 0.5)
    assert logs["val_combined_score"] == [pytest.approx(expected)]


def test_what_depends_on_the_size_needs_attention():
    values = {"multi-task": 1.0, "equal width": 0.5, "equal parameters": 2.0}
    runs = pd.DataFrame(
        {"model": model, "seed": seed, "task": "c", "value": value + 0.01 * seed}
        for model, value in values.items()
        for seed in range(5)
    )
    comparison = Comparison(runs, {"c": "mae"}, {"c": False})
    found = find([], read_history(None, []), [], {}, None, comparison)
    assert [(f.level, f.text) for f in found] == [
        (
            "warning",
            "Better than single-task networks of one size, worse than those of the "
            "other: c.",
        )
    ]


def test_the_arrow_says_which_way_a_metric_of_ones_own_is_better():
    logs = {"a_loss": [2.0, 1.0], "a_my_auc": [0.5, 0.6]}
    directions = {"a_loss": "min", "a_my_auc": "max"}
    canvas, curves = Canvas(), read_history(logs, ["a"])
    drawn = str(draw_task(canvas, curves, "a", "my_auc", directions))
    assert "loss ↓ better" in drawn
    assert "my_auc ↑ better" in drawn


def test_nothing_is_drawn_without_a_label_and_a_prediction():
    task = kmtl.RegressionTask("a")
    labels, predicted = np.array([1.0, np.nan]), np.array([[np.nan], [1.0]])
    assert draw_task_plot(Canvas(), task, labels, predicted) is None


def test_rare_classes_are_pooled_and_counted():
    task = kmtl.MulticlassTask("a", classes=40)
    labels = np.repeat(np.arange(40.0), np.arange(1, 41))
    plot = draw_task_plot(Canvas(), task, labels, np.eye(40)[labels.astype(int)])
    assert "The 11 rarest classes" in plot.caption
    assert plot.count == len(labels)


def test_a_picture_leaves_the_style_of_the_page_and_names_of_others_alone():
    canvas = Canvas()
    task, labels = kmtl.RegressionTask("a"), np.arange(9.0)
    svgs = [draw_task_plot(canvas, task, labels, labels[:, None] + 1).svg for _ in "ab"]
    assert not any("<style" in svg or "xmlns" in svg for svg in svgs)
    assert 'id="p1-' in svgs[0]
    assert 'id="p1-' not in svgs[1]


def test_hard_sharing_is_one_block_of_all_layers():
    assert forms(build(kmtl.sharing.Hard())) == [("inputs", ()), ("shared", ())]


def test_experts_go_to_every_gate_and_gates_to_their_task():
    network = read_network(build(kmtl.sharing.MMoE(experts=2)))
    _, experts, gates = network.blocks
    assert experts.slices == ("/0", "/1")
    links = [(made, taken) for _, made, taken in gates.links()]
    assert links == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert network.attached["b"] == ((gates, 1),)


def test_a_task_takes_its_own_and_shared_experts_only():
    gates = read_network(build(kmtl.sharing.CGC())).blocks[-1]
    links = {(made, taken) for _, made, taken in gates.links()}
    assert links == {(0, 0), (1, 1), (2, 2), (3, 0), (3, 1), (3, 2)}


def test_tasks_of_a_branch_hang_on_it():
    network = read_network(build(kmtl.sharing.Branched([["a", "b"], ["c"]])))
    branches = network.blocks[-1]
    places = {task: found for task, ((_, found),) in network.attached.items()}
    assert branches.slices == ("/a+b", "c")
    assert places == {"a": 0, "b": 0, "c": 1}


def test_a_head_at_a_lower_level_hangs_there():
    network = read_network(build(kmtl.sharing.LowLevel({"a": 0})))
    low, high = network.blocks[1:]
    assert network.attached == {"a": ((low, 0),), "b": ((high, 0),), "c": ((high, 0),)}


def test_weights_are_counted_by_owner():
    model = build(kmtl.sharing.Hard())
    shared, own = count_weights(model)
    assert shared == 6 * 8 + 8 + 8 * 4 + 4
    assert sum(own.values()) == sum(
        v.shape.num_elements() for v in model.heads.trainable_variables
    )


def test_many_tasks_are_drawn_as_piles_that_name_them():
    tasks = [kmtl.BinaryTask(f"t{i}") for i in range(12)]
    model = build(kmtl.sharing.Soft(), tasks)
    picture = lay_out(model, read_network(model))
    piles = [box for box in picture.boxes if box.is_pile]
    assert [box.lines[0] for box in piles] == ["12 \u00d7 trunk", "12 \u00d7 head"]
    assert "t11" in piles[1].hint
    assert picture.width < 360  # a phone
