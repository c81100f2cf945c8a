"""`kmtl.testing.make_related_tasks`: the truth that it tells holds in its data."""

import numpy as np
import pytest

from kmtl import BinaryTask, RegressionTask
from kmtl.testing import make_related_tasks


def correlations(made):
    return made.frame[[task.name for task in made.tasks]].corr()


def test_labels_are_related_as_it_says():
    made = make_related_tasks((3, 2, 1), opposed=1, rows=20_000, kind="regression")
    # Variances: 1 of the function, 0.5 ** 2 of the noise of each task.
    expected = made.relations / 1.25 + 0.2 * np.eye(6)
    np.testing.assert_allclose(correlations(made), expected, atol=0.03)


def test_relations_and_groups_go_by_the_sizes():
    made = make_related_tasks((3, 1, 2), opposed=1, rows=1)
    names = ["g1_1", "g1_2", "g1_3", "g2_1", "g3_1", "g3_2"]
    assert [task.name for task in made.tasks] == names
    assert made.groups == (tuple(names[:3]), ("g2_1",), tuple(names[4:]))
    assert made.relations.loc["g1_3"].tolist() == [-1, -1, 1, 0, 0, 0]
    assert made.relations.loc["g2_1"].tolist() == [0, 0, 0, 1, 0, 0]


def test_binary_labels_are_balanced_and_of_the_same_score():
    binary = make_related_tasks(rows=5000)
    numbers = make_related_tasks(rows=5000, kind="regression")
    assert all(isinstance(task, BinaryTask) for task in binary.tasks)
    assert all(isinstance(task, RegressionTask) for task in numbers.tasks)
    np.testing.assert_array_equal(binary.y["g2_3"], numbers.y["g2_3"] > 0)
    assert binary.y["g1_1"].mean() == pytest.approx(0.5, abs=0.03)


def test_labels_without_noise_are_the_same_in_a_group():
    made = make_related_tasks((2, 1), noise=0.0, rows=50)
    np.testing.assert_array_equal(made.y["g1_1"], made.y["g1_2"])
    assert (made.y["g1_1"] != made.y["g2_1"]).any()


def test_as_many_labels_are_missing_as_asked():
    made = make_related_tasks(missing=0.7, rows=4000)
    absent = made.frame[list(made.y)].isna()
    np.testing.assert_allclose(absent.mean(), 0.7, atol=0.03)
    both = (~absent["g1_1"] & ~absent["g1_2"]).mean()
    assert both == pytest.approx(0.3**2, abs=0.02)  # tasks lack labels independently


def test_a_seed_says_all():
    first, again, other = (make_related_tasks(rows=9, seed=s) for s in (0, 0, 1))
    assert first.frame.equals(again.frame)
    assert not first.frame.equals(other.frame)


def test_inputs_are_float32_and_columns_of_the_frame():
    made = make_related_tasks((1,), rows=3, features=2)
    assert made.x.dtype == made.y["g1_1"].dtype == np.dtype("float32")
    assert list(made.frame) == ["x1", "x2", "g1_1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ()}, "`groups` must hold the size of a group"),
        ({"groups": 3}, "`groups` must be a list. Received: 3"),
        ({"groups": (2, 0)}, r"`groups\[...\]` must be a positive integer"),
        ({"groups": (2, 3), "opposed": 2}, "`opposed` must be below the size"),
        ({"groups": (1, 1), "opposed": 1}, "`opposed` must be below the size"),
        ({"opposed": -1}, "`opposed` must be an integer of at least 0"),
        ({"rows": 0}, "`rows` must be a positive integer"),
        ({"features": 3}, "at least 2 a group, here 4. Received: features=3"),
        ({"kind": "binry"}, "Did you mean 'binary'"),
        ({"noise": -1.0}, "`noise` must be a finite number of at least 0"),
        ({"missing": 1.5}, "`missing` must be from 0 to 1"),
        ({"seed": "a"}, "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_related_tasks(**options)
