"""What a comparison makes of its runs."""

import numpy as np
import pandas as pd
import pytest

from kmtl._gains import delta_m
from kmtl.analysis import Comparison
from kmtl.analysis._paired import holm, paired
from kmtl.analysis._student import two_sided, within

METRICS = {"rich": "auc", "age": "mae"}
# By model and task, a value a seed.
VALUES = {
    ("multi-task", "rich"): [0.80, 0.82, 0.81],
    ("multi-task", "age"): [2.0, 2.2, 2.1],
    ("equal width", "rich"): [0.81, 0.81, 0.81],
    ("equal width", "age"): [1.0, 1.1, 1.05],
    ("equal parameters", "rich"): [0.70, 0.719, 0.711],
    ("equal parameters", "age"): [2.1, 2.1, 2.1],
}


def comparison(values=VALUES, **options):
    runs = [
        {"model": model, "task": task, "seed": seed, "value": value, "parameters": 10}
        for (model, task), by_seed in values.items()
        for seed, value in enumerate(by_seed)
    ]
    higher = {"rich": True, "age": False}
    return Comparison(pd.DataFrame(runs), METRICS, higher, **options)


@pytest.fixture(scope="module")
def found():
    return comparison()


# Student's t, two-sided 95 %: any table of it.
@pytest.mark.parametrize(
    ("degrees", "t"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262)]
)
def test_students_t_is_that_of_the_tables(degrees, t):
    assert two_sided(0.95, degrees) == pytest.approx(t, abs=5e-4)
    assert within(t, degrees) == pytest.approx(0.95, abs=5e-5)


def test_the_interval_is_a_paired_t_interval():
    found = paired(pd.Series([1.0, 2.0, 3.0, 4.0, 5.0]), 0.95, overlap=0.0)
    half = 2.776445 * np.sqrt(2.5 / 5)
    assert found["gain"] == 3
    assert found["low"] == pytest.approx(3 - half)
    assert found["high"] == pytest.approx(3 + half)
    assert found["p"] == pytest.approx(0.013236, abs=1e-5)  # scipy.stats.ttest_1samp


def test_splits_that_overlap_widen_the_interval():
    gains = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0])
    narrow, wide = (paired(gains, 0.95, overlap) for overlap in (0.0, 0.25))
    widths = [found["high"] - found["low"] for found in (wide, narrow)]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt((1 / 5 + 0.25) * 5))


def test_holm_corrects_in_steps():
    found = holm(np.array([0.01, 0.04, 0.03, 0.8]))
    np.testing.assert_allclose(found, [0.04, 0.09, 0.09, 0.8])


def test_the_gain_of_auc_is_in_points_and_of_an_error_in_percent(found):
    gains = found.gains["gain"]
    assert gains["equal width", "rich"] == pytest.approx(0)
    assert gains["equal width", "age"] == pytest.approx(-100)
    assert gains["equal parameters", "rich"] == pytest.approx(10)
    assert [*found.gains.loc["equal width", "kind"]] == ["points", "%"]


def test_intervals_hold_for_all_tasks_and_baselines_at_once(found):
    # Two tasks by two baselines: t of 1 - 0.05 / 4 with 2 degrees of freedom.
    half = 8.860 * 1.0 / np.sqrt(3)  # the gains are -1, 1 and 0 points
    low, high = found.gains.loc[("equal width", "rich"), ["low", "high"]]
    assert [low, high] == pytest.approx([-half, half], abs=1e-3)


def test_a_second_baseline_widens_the_intervals_and_raises_the_p_values(found):
    one = comparison({k: v for k, v in VALUES.items() if k[0] != "equal width"})
    both, alone = (each.gains.loc["equal parameters"] for each in (found, one))
    widths = (both["high"] - both["low"]) / (alone["high"] - alone["low"])
    np.testing.assert_allclose(widths, 8.860 / 6.205, rtol=1e-4)
    # The second smallest of four instead of the smallest of two, by Holm.
    assert both.loc["rich", "p"] / alone.loc["rich", "p"] == pytest.approx(3 / 2)
    pd.testing.assert_frame_equal(one.delta_m, found.delta_m.loc[["equal parameters"]])


def test_the_text_says_what_the_intervals_hold_for(found):
    assert "hold for all 2 tasks and both baselines at once, those of delta" in str(
        found
    )
    runs = found.runs.query("task == 'age' and model != 'equal parameters'")
    one = Comparison(runs, {"age": "mae"}, {"age": False})
    assert "3 seeds; intervals hold with 95% confidence." in str(one)


def test_delta_m_is_the_mean_over_seeds(found):
    by_seed = [
        delta_m(
            {task: VALUES["multi-task", task][seed] for task in METRICS},
            {task: VALUES["equal parameters", task][seed] for task in METRICS},
            METRICS,
        )
        for seed in range(3)
    ]
    expected = np.mean(by_seed)
    assert found.delta_m.loc["equal parameters", "delta_m"] == pytest.approx(expected)


def test_verdicts_follow_the_intervals(found):
    assert found.verdicts == {"rich": "share", "age": "do not share"}


def test_a_task_without_a_clear_gain_makes_no_difference():
    values = {**VALUES, ("equal width", "age"): [2.1, 2.1, 2.1]}
    assert comparison(values).verdicts["age"] == "no difference"


def test_a_gain_that_turns_round_with_the_baseline_depends_on_the_size():
    values = {**VALUES, ("equal parameters", "age"): [4.0, 4.4, 4.2]}
    assert comparison(values).verdicts["age"] == "depends on the size"


def test_equal_models_gain_exactly_nothing():
    values = {(m, t): VALUES["multi-task", t] for m, t in VALUES}
    found = comparison(values)
    assert not found.gains[["gain", "low", "high"]].to_numpy().any()
    assert set(found.verdicts.values()) == {"no difference"}


def test_a_share_of_nothing_is_infinite_and_has_no_interval():
    values = {**VALUES, ("equal width", "age"): [1.0, 0.0, 1.0]}
    found = comparison(values)
    row = found.gains.loc[("equal width", "age")]
    assert row["gain"] == -np.inf
    assert row[["low", "high", "p"]].isna().all()
    assert found.verdicts["age"] == "unknown"
    assert found.verdicts["rich"] == "share"
    assert "over a baseline of exactly 0 has no interval" in str(found)
    found.plot()


def test_gains_of_a_score_under_another_name_are_in_points():
    runs, higher = comparison().runs, {"rich": True, "age": False}
    metrics, kinds = {"rich": "mine", "age": "mae"}, {"rich": "auc", "age": "mae"}
    found = Comparison(runs, metrics, higher, kinds=kinds)
    pd.testing.assert_frame_equal(found.gains, comparison().gains)


def test_one_seed_has_no_interval_and_no_verdict():
    found = comparison({key: values[:1] for key, values in VALUES.items()})
    assert found.gains["low"].isna().all()
    assert set(found.verdicts.values()) == {"unknown"}
    assert "One seed has no interval" in str(found)
    assert "nan" not in str(found)


def test_the_table_has_a_row_a_task(found):
    row = found.table.loc["age"]
    assert (row["metric"], row["verdict"]) == ("mae", "do not share")
    assert row["multi-task"] == pytest.approx(2.1)
    assert row["multi-task sd"] == pytest.approx(0.1)
    assert row["gain over equal width"] == pytest.approx(-100)


def test_the_text_says_which_sign_is_better(found):
    assert "delta_m over equal width: -50.00 [" in str(found)
    assert "positive: sharing is better" in str(found)


def test_names_are_escaped_in_html():
    runs = comparison().runs.replace("rich", "<b>")
    found = Comparison(runs, {"<b>": "auc"}, {"<b>": True})
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()


def test_the_picture_has_a_line_a_task_and_one_for_their_mean(found, tmp_path):
    figure = found.plot()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["delta_m (mean, %)", "age (%)", "rich (points)"]
    figure.savefig(tmp_path / "gains.png")
    assert (tmp_path / "gains.png").stat().st_size > 5_000
