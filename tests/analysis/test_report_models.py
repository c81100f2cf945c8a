"""The report takes every way of sharing, many tasks, and what the others measure."""

import keras
import numpy as np
import pytest
from comparing import build, build_small, compare
from small import TRUNK, some_inputs, some_labels

import kmtl
from kmtl import sharing
from kmtl.analysis import report

pytestmark = pytest.mark.slow

SHARINGS = [
    sharing.Soft(kmtl.regularizers.TaskCovariance(1e-3)),
    sharing.CrossStitch(),
    sharing.Sluice(),
    sharing.MMoE(experts=3),
    sharing.DSelectK(experts=4, k=2),
    sharing.CGC(),
    sharing.PLE(),
    sharing.AdaTT(),
    sharing.MTAN(),
    sharing.FiLM(),
    sharing.Branched([["click", "ctcvr", "buy"], ["colour", "price", "hint"]]),
    sharing.LowLevel({"click": 0}),
]


def tasks():
    return [
        kmtl.BinaryTask("click"),
        kmtl.BinaryTask("buy", only_if="click"),
        kmtl.ProductTask("ctcvr", ["click", "buy"]),
        kmtl.MulticlassTask("colour", classes=3, condition_on="click"),
        kmtl.RegressionTask("price"),
        kmtl.AuxiliaryTask(kmtl.RegressionTask("hint")),
    ]


def labels_of(some_tasks, rows):
    rng = np.random.default_rng(1)
    return {task.name: rng.integers(0, 2, rows).astype(float) for task in some_tasks}


def written(tmp_path, model, x, y, **options):
    history = model.fit(x, y, epochs=2, validation_split=0.25, verbose=0)
    return report(model, history, (x, y), tmp_path / "a.html", **options).read_text()


@pytest.mark.parametrize("way", SHARINGS, ids=lambda way: type(way).__name__)
def test_every_sharing_and_kind_of_task_is_shown(tmp_path, way):
    trunk = kmtl.trunks.MLP([8, 4])
    model = kmtl.build_mtl_model((4,), tasks(), trunk=trunk, sharing=way)
    model.compile(run_eagerly=True)
    text = written(tmp_path, model, some_inputs(48), labels_of(tasks(), 48))
    assert all(f'aria-label="Task {task.name}"' in text for task in tasks())
    assert "http" not in text


def test_a_hundred_tasks_are_all_there_but_folded(tmp_path):
    many = [kmtl.BinaryTask(f"t{i}") for i in range(100)]
    y = labels_of(many, 64)
    y["t7"][:] = np.nan
    y["t8"][::2] = np.nan
    model = kmtl.build_mtl_model((4,), many, trunk=TRUNK)
    text = written(tmp_path, model, some_inputs(64), {k: y[k] for k in y if k != "t7"})
    assert all(f'aria-label="Task t{i}"' in text for i in range(100))
    assert "92 more tasks" in text
    assert "No labels at all: t7." in text
    assert len(text) < 4_000_000


def test_images_and_heads_that_give_maps_are_measured(tmp_path):
    maps = kmtl.BinaryTask("maps", head=keras.layers.Dense(1))
    trunk = keras.Sequential([keras.layers.Conv2D(4, 3, padding="same")])
    model = kmtl.build_mtl_model((6, 6, 1), [maps], trunk=trunk)
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 1)).astype("float32")
    text = written(tmp_path, model, x, {"maps": (x[..., 0] > 0).astype(float)})
    assert "720 labels" in text


def test_comparison_and_affinity_are_shown(tmp_path):
    made = kmtl.testing.make_related_tasks((2, 1), rows=200)
    builders = {"build": build, "build_small": build_small}
    comparison = compare((made.x, made.y), made.tasks, **builders)
    model = build((16,), made.tasks, 0)
    affinity = kmtl.analysis.task_affinity(model, made.x, made.y, epochs=1)
    options = {"comparison": comparison, "affinity": affinity}
    text = written(tmp_path, model, made.x, made.y, **options)
    assert "mean gain of the tasks (delta_m)" in text
    assert "Correlation of the labels." in text
    assert "Not measured." not in text


def test_a_loaded_model_with_labels_that_are_missing_is_shown(tmp_path):
    four = kmtl.build_mtl_model((4,), [kmtl.RegressionTask("price")], trunk=TRUNK)
    y = some_labels([kmtl.RegressionTask("price")])
    y["price"][::3] = np.nan
    four.fit(some_inputs(), y, verbose=0)
    four.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    page = report(loaded, None, (some_inputs(), y), tmp_path / "a.html")
    assert "66.7 %" in page.read_text()
