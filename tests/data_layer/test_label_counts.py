"""How many labels each part has."""

import pandas as pd
import pytest

import kmtl
from kmtl.data import label_counts

NAN = float("nan")


def test_label_counts_are_those_that_train():
    frame = pd.DataFrame(
        {
            "a": ["x", "y", None, "x"],
            "b": [1, 0, 1, 1],
            "c": [0.5, NAN, 2.0, 3.0],
            "d": list("pqrq"),
        }
    )
    tasks = [
        kmtl.MulticlassTask("a"),
        kmtl.BinaryTask("b"),
        kmtl.RegressionTask("c", only_if="b"),
        kmtl.BinaryTask("d", positive="q"),
    ]
    counts = label_counts({"train": frame.iloc[:3], "test": frame.iloc[3:]}, tasks)
    assert counts.to_dict("index") == {
        ("a", "x"): {"train": 1, "test": 1},
        ("a", "y"): {"train": 1, "test": 0},
        ("b", 0): {"train": 1, "test": 0},
        ("b", 1): {"train": 2, "test": 1},
        ("c", "any"): {"train": 2, "test": 1},
        ("d", "other"): {"train": 2, "test": 0},
        ("d", "q"): {"train": 1, "test": 1},
    }


def test_label_columns_are_checked():
    frame = pd.DataFrame({"sick": [0, 1]})
    with pytest.raises(ValueError, match=r"`label of task 's'` .* 'sic'. Did you mean"):
        label_counts({"all": frame}, [kmtl.BinaryTask("s", label="sic")])


def test_parts_have_names():
    with pytest.raises(TypeError, match="`parts` must be a dict of frames by name"):
        label_counts([pd.DataFrame({"s": [0, 1]})], [kmtl.BinaryTask("s")])


def test_there_is_a_part():
    with pytest.raises(ValueError, match="`parts` must hold at least one frame"):
        label_counts({}, [kmtl.BinaryTask("s")])
