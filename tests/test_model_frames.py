"""`adapt_labels` and `predict_frame` on frames."""

import numpy as np
import pandas as pd
import pytest

import kmtl

FRAME = pd.DataFrame(
    {"x": np.arange(8.0), "kind": list("abababab"), "age": np.arange(8.0) + 20}
)
TASKS = [kmtl.MulticlassTask("kind"), kmtl.RegressionTask("age")]


@pytest.fixture
def model():
    return kmtl.build_mtl_model(FRAME, TASKS, trunk=kmtl.trunks.MLP([4]))


def test_labels_are_adapted_from_a_frame_with_some_of_them(model):
    before = model.predict(FRAME, verbose=0)["age"]
    model.adapt_labels(FRAME[["age"]] + 100)
    after = model.predict(FRAME, verbose=0)["age"]
    np.testing.assert_allclose(after, before + 100, rtol=1e-5)


def test_a_frame_without_labels_cannot_adapt_them(model):
    with pytest.raises(ValueError, match=r"label column .* \['x'\]"):
        model.adapt_labels(FRAME[["x"]])


def test_colliding_columns_of_predictions_are_an_error():
    frame = FRAME.assign(kind_a=FRAME["age"])
    tasks = [kmtl.MulticlassTask("kind"), kmtl.RegressionTask("kind_a")]
    model = kmtl.build_mtl_model(frame, tasks, trunk=kmtl.trunks.MLP([4]))
    assert list(model.predict_frame(frame, verbose=0)) == ["kind", "kind_a"]
    with pytest.raises(ValueError, match="kind_a"):
        model.predict_frame(frame, probabilities=True, verbose=0)
