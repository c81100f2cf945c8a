"""What the tests of exports share: a frame with unusual columns, and a model of it."""

import keras
import numpy as np
import pandas as pd

import kmtl

ROWS = 60


def unusual_frame():
    """A column of every kind, under names that are no identifiers."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "hours per week": rng.normal(40.0, 10.0, ROWS).astype("float32"),
            "count.x": rng.integers(0, 9, ROWS),
            "Straße/城": rng.choice(["Rome", "köln", None], ROWS),
            "class": rng.choice(["a", "b"], ROWS),
            "input_1": rng.random(ROWS) > 0.5,
            "since": pd.date_range("2020-01-01", periods=ROWS),
            "text": [f"word{i % 7} of {i}" for i in range(ROWS)],
        }
    )
    frame.loc[::7, "hours per week"] = np.nan
    frame["code"] = rng.integers(0, 5, ROWS)
    frame["rich"] = np.where(frame["count.x"] > 4, "yes", "no")
    frame["predict"] = rng.choice(["k1", "k2", "k3"], ROWS)
    frame["age"] = rng.normal(40.0, 10.0, ROWS)
    return frame


def model_of(frame):
    """Three kinds of tasks; one is called like a signature."""
    keras.utils.set_random_seed(0)
    tasks = [
        kmtl.BinaryTask("rich", positive="yes"),
        kmtl.MulticlassTask("predict"),
        kmtl.RegressionTask("age"),
    ]
    labels = [task.column for task in tasks]
    features = kmtl.TabularFeatures.from_frame(
        frame, exclude=labels, categorical=["code"]
    )
    model = kmtl.build_mtl_model(
        frame, tasks, features=features, trunk=kmtl.trunks.MLP([8])
    )
    model.compile(run_eagerly=True)
    return model


def raw_rows(model, frame):
    """Rows of a frame as a server takes them."""
    raw = model.features.raw_inputs(frame)
    return {name: values.numpy() for name, values in raw.items()}
