"""`kmtl.compare` trains and measures what it says."""

import dataclasses
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from comparing import (
    TASKS,
    break_down,
    build,
    build_nothing,
    build_small,
    compare,
    some_rows,
)

import kmtl
from kmtl.analysis._baselines import Network, of_parameters, parameters
from kmtl.analysis._resume import Log
from kmtl.analysis._rows import Rows, alone
from kmtl.analysis._runs import metrics_to_compare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def found(folder):
    return compare(folder=folder)


def values_of(comparison):
    return comparison.runs.drop(columns="seconds")


def test_every_model_is_trained_for_every_seed(found):
    columns = ["model", "seed", "task", "metric", "value", "parameters", "epochs"]
    assert [*found.runs.columns] == [*columns, "seconds"]
    counts = found.runs.groupby(["model", "task"]).size()
    assert counts.eq(2).all()
    assert len(counts) == 4


def test_a_comparison_goes_on_where_it_stopped(found, folder, tmp_path):
    lines = (folder / "runs.jsonl").read_text().splitlines()
    interrupted = "\n".join(lines[:4]) + lines[4][:-30]  # in the middle of a line
    (tmp_path / "runs.jsonl").write_text(interrupted)
    resumed = compare(folder=tmp_path)
    pd.testing.assert_frame_equal(values_of(resumed), values_of(found))
    again = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert again[:3] == lines[:3]
    assert len(again) == len(lines)


@pytest.mark.usefixtures("found")
def test_two_lines_that_became_one_are_trained_again(folder, tmp_path):
    kept = (folder / "runs.jsonl").read_text()
    settings, first, second = kept.splitlines()[:3]
    file = tmp_path / "runs.jsonl"
    file.write_text(f"{settings}\n{first[:-30]}{second}\n{second}\n")
    log = Log(tmp_path, json.loads(settings))
    assert len(log.finished) == 1
    assert file.read_text() == f"{settings}\n{second}\n"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 2}, "epochs: 1 there, 2 now"),
        ({"data": some_rows(seed=1)}, r"train: .* there, .* now"),
        ({"metrics": {"sold": "loss"}}, r"metrics: .*'auc'.* there, .*'loss'.* now"),
        ({"build": build_small}, "network multi-task: .* there, .* now"),
    ],
)
@pytest.mark.usefixtures("found")
def test_a_folder_of_another_comparison_is_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        compare(folder=folder, **options)


def test_what_is_finished_is_not_trained_again(found, folder):
    pd.testing.assert_frame_equal(compare(folder=folder).runs, found.runs)


def test_each_seed_has_a_split_of_its_own_unless_rows_are_given(found):
    assert found.overlap == pytest.approx(0.25)


def test_small_models_are_those_of_the_builder_for_them():
    found = compare(build_small=build_small, seeds=1)
    sizes = found.runs.groupby("model")["parameters"].first()
    assert sizes["equal parameters"] < sizes["equal width"] < sizes["multi-task"]


def test_one_task_gains_exactly_nothing():
    x, y = some_rows()
    found = compare((x, {"price": y["price"]}), TASKS[:1])
    assert found.gains.loc[("equal width", "price"), "gain"] == 0
    assert found.verdicts == {"price": "no difference"}


def test_values_are_what_the_best_epoch_has_on_the_test_rows():
    parts = {"valid": some_rows(30, seed=1), "test": some_rows(30, seed=2)}
    found = compare(seeds=1, epochs=2, **parts)
    keras.utils.set_random_seed(0)
    model = build(some_rows()[0], TASKS, 0)
    keras.utils.set_random_seed(0)
    options = {"batch_size": 64, "epochs": int(found.runs["epochs"][0]), "verbose": 0}
    model.fit(*some_rows(), **options)
    logs = model.evaluate(*parts["test"], return_dict=True, verbose=0)
    assert found.runs["value"][0] == pytest.approx(logs["price_mae"], rel=1e-6)
    assert found.overlap == 0


def test_metrics_can_be_chosen():
    model = build((3,), [*TASKS, kmtl.AuxiliaryTask(kmtl.BinaryTask("hint"))], 0)
    metrics, higher, kinds = metrics_to_compare(model, {"sold": "loss"})
    assert metrics == {"price": "mae", "sold": "loss"}  # no auxiliary task
    assert higher == {"price": False, "sold": False}
    assert kinds == metrics


def test_a_metric_that_may_be_good_either_way_is_refused():
    model = build((3,), [kmtl.BinaryTask("sold", metrics=["TruePositives"])], 0)
    with pytest.raises(
        ValueError, match="'true_positives' of task 'sold' does not say"
    ):
        metrics_to_compare(model, {})


def test_learning_rates_are_chosen_by_the_validation_loss():
    best = compare(seeds=1, learning_rates=[0.1])
    both = compare(seeds=1, learning_rates=[1e-9, 0.1])
    pd.testing.assert_frame_equal(values_of(best), values_of(both))


def test_other_labels_are_no_features_of_a_single_task_model():
    x, y = some_rows()
    frame = pd.DataFrame(x, columns=["p", "q", "r"]).assign(**y)
    left = Rows(frame).alone(TASKS[1], TASKS).x
    assert [*left.columns] == ["p", "q", "r", "sold"]


def test_a_task_alone_has_no_conditions():
    click, buy = kmtl.BinaryTask("click"), kmtl.BinaryTask("buy", only_if="click")
    product = kmtl.ProductTask("both", ["click", "buy"], label="b", loss_weight=0.0)
    assert alone(buy) == kmtl.BinaryTask("buy")
    assert alone(product) == kmtl.BinaryTask("both", label="b")
    assert alone(dataclasses.replace(TASKS[0], loss_weight=100.0)) == TASKS[0]
    frame = pd.DataFrame({"click": [0, 1, 1], "buy": [1, 0, 1], "b": 0, "age": 3})
    kept = Rows(frame).alone(buy, [click, buy, product]).x
    assert [*kept.columns] == ["buy", "age"]
    np.testing.assert_equal(kept["buy"].to_numpy("float64"), [np.nan, 0, 1])
    columns = {n: frame[[n]].to_numpy() for n in ("click", "buy")} | {
        "both": frame["b"]
    }
    kept = Rows(np.zeros((3, 2)), columns).alone(buy, [click, buy, product]).y
    np.testing.assert_equal(kept["buy"].to_numpy("float64"), [np.nan, 0, 1])


def test_networks_are_as_wide_as_their_weights_together_allow():
    shared = kmtl.trunks.MLP([64, 32])
    tasks = [kmtl.RegressionTask(f"t{i}") for i in range(4)]
    network, inputs = Network(trunk=shared), (6,)
    target = parameters(network(inputs, tasks, 0))
    small, count = of_parameters(network, target, tasks, lambda _: inputs)
    assert count == 4 * parameters(small(inputs, tasks[:1], 0))
    assert count == pytest.approx(target, rel=0.03)
    assert small.trunk.units[0] < 64


def test_for_one_task_all_networks_are_the_same():
    network = Network(trunk=kmtl.trunks.MLP([8]))
    target = parameters(network((6,), TASKS[:1], 0))
    same, count = of_parameters(network, target, TASKS[:1], lambda _: (6,))
    assert same is network
    assert count == target


def test_layers_that_are_given_do_not_go_on_with_their_weights():
    trunk = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model = Network(trunk=trunk)((3,), TASKS, 0)
    first = model.trainable_variables[0]
    np.testing.assert_array_equal(first, trunk.get_weights()[0])
    assert all(first is not weight for weight in trunk.weights)


def test_progress_is_said_before_it_starts(capsys):
    compare(seeds=1, verbose=True)
    printed = capsys.readouterr().out
    assert "3 trainings (1 seeds x (1 multi-task + 2 single-task" in printed
    assert "up to about" in printed
    assert "3/3" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "`seeds` must be a positive integer"),
        ({"jobs": 0}, "`jobs` must be a number of processes"),
        ({"learning_rates": [0]}, "must be positive"),
        ({"metrics": {"prize": "mae"}}, "Did you mean 'price'"),
        (
            {"metrics": {"price": "auc"}},
            r"`metrics\['price'\]` names an unknown metric",
        ),
        (
            {"sharing": kmtl.sharing.Hard()},
            "`build` makes the whole model, so `sharing`",
        ),
        ({"valid": (some_rows()[0], {})}, "must have labels of every task"),
        (
            {"jobs": 2, "build_small": lambda: None},
            "must be at the top",
        ),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        compare(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": [1, 2]}, "`train` must be a DataFrame"),
        ({"data": (some_rows()[0], [1])}, "`y` of `train` must be a dict"),
        ({"build": "mlp"}, "`build` must be a function"),
        ({"build": build_nothing}, "must return a model of `kmtl.build_mtl_model`"),
        ({"build": None, "sharing": "hard"}, "`sharing` must be an object"),
        ({"valid": pd.DataFrame({"price": [1.0], "sold": 1})}, "same form as `train`"),
        ({"metrics": ["mae"]}, "`metrics` must be a dict"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        compare(**options)


def test_a_part_without_labels_of_a_task_is_refused():
    x, y = some_rows()
    y = {**y, "price": np.full(60, np.nan)}
    with pytest.raises(ValueError, match="`test` must have labels of task 'price'"):
        compare(test=(x, y))


def test_auc_needs_both_classes_to_test_on():
    x, y = some_rows()
    y = {**y, "sold": np.ones(60)}
    with pytest.raises(ValueError, match="labels of both classes of task 'sold'"):
        compare(test=(x, y))


def test_an_error_names_the_task_and_the_seed():
    with pytest.raises(
        RuntimeError, match="equal width model of task 'sold' with seed 1"
    ):
        compare(build=break_down)


def test_processes_give_what_one_gives(found):
    with_two = compare(jobs=2)
    pd.testing.assert_frame_equal(values_of(with_two), values_of(found))


# As typed into a notebook: other processes have no file to import it from.
TYPED = """
import comparing
def build(train, tasks, seed):
    return comparing.build(train, tasks, seed)
comparing.compare(build=build, jobs=2, seeds=1)
"""


def test_functions_that_are_in_no_file_are_refused_by_other_processes():
    run = partial(subprocess.run, text=True, capture_output=True, check=False)
    found = run([sys.executable, "-c", TYPED], cwd=Path(__file__).parent)
    assert "ValueError: `jobs` above 1 sends all" in found.stderr
    assert "or use `jobs=1`. Received: Can't get attribute 'build'" in found.stderr


def test_an_error_in_a_process_names_the_task_and_the_seed():
    with pytest.raises(
        RuntimeError, match="equal width model of task 'sold' with seed 1"
    ):
        compare(build=break_down, jobs=2)


def compare_related(groups, rows, known=(), **options):
    """Compares tasks whose relation is known; many more rows are there to test on."""
    made = kmtl.testing.make_related_tasks(
        groups, rows=rows + 2500, kind="regression", **dict(known)
    )
    train, valid, test = (
        (made.x[part], {name: y[part] for name, y in made.y.items()})
        for part in (slice(rows), slice(rows, rows + 500), slice(rows + 500, None))
    )
    return kmtl.compare(train, made.tasks, valid, test, verbose=False, **options)


def test_tasks_with_one_function_should_share_opposed_ones_too():
    # Each has labels of a third of the rows. The head of the last turns the sign.
    found = compare_related(
        (3,),
        rows=600,
        known={"missing": 0.67, "noise": 0.1, "opposed": 1},
        trunk=keras.layers.Dense(32, activation="relu"),
        seeds=4,
        epochs=20,
        batch_size=40,
        learning_rates=[0.02],
    )
    assert found.verdicts["g1_3"] == "share"
    assert "do not share" not in found.verdicts.values()
    assert found.delta_m.loc["equal width", "low"] > 0


def test_unrelated_tasks_should_not_share_a_narrow_trunk():
    found = compare_related(
        (1, 1),
        rows=1000,
        trunk=keras.layers.Dense(6, activation="relu"),
        seeds=10,
        epochs=10,
        batch_size=32,
        learning_rates=[0.03],
    )
    # Which of the two gets most of the trunk is a matter of chance.
    assert "do not share" in found.verdicts.values()
    assert "share" not in found.verdicts.values()
    assert found.delta_m.loc["equal width", "high"] < 0


def identity(x):
    return x


def test_opposed_tasks_should_not_share_where_heads_are_pulled_together():
    found = compare_related(
        (2,),
        rows=2000,
        known={"opposed": 1},
        trunk=identity,
        sharing=kmtl.sharing.Soft(kmtl.regularizers.MeanL2(10.0), heads=True),
        seeds=4,
        epochs=15,
        batch_size=100,
        learning_rates=[0.02],
    )
    assert set(found.verdicts.values()) == {"do not share"}


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "runs.jsonl"
    file.touch()
    with pytest.raises(ValueError, match=r"must name a folder\. Received: a file"):
        Log(file, {})
