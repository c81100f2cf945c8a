"""Every example runs from start to end on a small setting."""

from pathlib import Path

import pytest
from scripts import ROOT, run_here, run_script


@pytest.fixture
def run(tmp_path):
    """Runs an example; returns what it prints."""

    def run(script, *options, runner=run_here):
        text = (ROOT / "examples" / script).read_text(encoding="utf-8")
        folders = {"--output": tmp_path, "--exports": tmp_path / "exports"}
        options += tuple(f"{k}={v}" for k, v in folders.items() if f'"{k}"' in text)
        return runner(f"examples/{script}", *options)

    return run


def test_every_example_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    scripts = {p.name for p in (ROOT / "examples").glob("[!_]*.py")}
    assert not {name for name in scripts if f'run("{name}"' not in text}


@pytest.mark.slow
def test_census_income_trains_compares_draws_and_serves(run, tmp_path):
    printed = run("census_income.py", "--rows=4000", "--epochs=1")
    assert "single-task model: education" in printed
    assert "Exported to" in printed
    assert (tmp_path / "census_income.png").stat().st_size > 10_000
    assert (tmp_path / "census_income.keras").is_file()
    assert (tmp_path / "exports/census_income/1/saved_model.pb").is_file()


@pytest.mark.slow
def test_census_income_weighs_rows_and_keeps_the_share_of_labels_it_is_told(run):
    options = ["--rows=8000", "--epochs=1", "--weighted", "--income-labels=0.1"]
    printed = run("census_income.py", *options)
    assert "Test results" in printed
    kept = printed.split("income labels to train on: ")[1].split()[0]
    assert int(kept) == pytest.approx(720, abs=100)


@pytest.mark.slow
def test_multi_mnist_trains_compares_draws_and_serves(run, tmp_path):
    printed = run("multi_mnist.py", "--images=256", "--epochs=1")
    assert "single-task model: bottom_right" in printed
    assert "bottom_right:" in printed.split("served from there")[1]
    assert (tmp_path / "multi_mnist.png").stat().st_size > 10_000


@pytest.mark.slow
def test_reviews_train_compare_draw_and_serve(run, tmp_path):
    printed = run("reviews.py", "--rows=300", "--epochs=1")
    assert "single-task model: domain" in printed
    assert "domain:" in printed.split("served from there")[1]
    assert (tmp_path / "reviews.png").stat().st_size > 10_000


@pytest.mark.slow
def test_reviews_read_any_column_and_say_what_a_picture_needs(
    run, tmp_path, monkeypatch
):
    (tmp_path / "matplotlib.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rows = "body,topic,mood\n" + "a good day,sun,up\na bad long day,rain,down\n" * 100
    (tmp_path / "my.csv").write_text(rows)
    options = ["--text=body", "--labels", "topic", "mood", "--epochs=1"]
    csv = f"--csv={tmp_path / 'my.csv'}"
    printed = run("reviews.py", csv, *options, runner=run_script)
    assert "single-task model: mood" in printed
    assert "pip install 'kmtl[plot]'" in printed


@pytest.mark.slow
def test_the_funnel_trains_compares_draws_and_serves(run, tmp_path):
    printed = run("funnel.py", "--rows=3000", "--epochs=1")
    esmm = next(line for line in printed.splitlines() if line.startswith("ESMM"))
    assert esmm.endswith(" 0.0000")
    assert "ctcvr:" in printed.split("served from there")[1]
    assert (tmp_path / "funnel.png").stat().st_size > 10_000


@pytest.mark.slow
def test_many_small_tasks_compare_strengths(run):
    options = ["--machines=4", "--epochs=2", "--seeds=1", "--strengths", "0", "99"]
    printed = run("many_small_tasks.py", *options)
    assert "hard sharing" in printed
    apart, near = (printed.split(f"strength {s} ")[1].split("\n")[0] for s in (0, 99))
    assert float(near.split()[-1]) < float(apart.split()[-1])


@pytest.mark.slow
def test_experts_train_compare_and_draw_gates(run, tmp_path):
    printed = run("experts.py", "--rows=4000", "--epochs=1")
    assert "shared/0" in printed
    assert (tmp_path / "gates.png").stat().st_size > 10_000


@pytest.mark.slow
def test_adding_a_task_compares_what_is_forgotten(run, tmp_path):
    printed = run("adding_a_task.py", "--rows=4000", "--epochs=1")
    table = printed.split("Test results")[1]
    assert "everything, distilled" in table
    assert (tmp_path / "adding_a_task.keras").is_file()
    assert (tmp_path / "exports/adding_a_task/1/saved_model.pb").is_file()


@pytest.mark.slow
def test_balancing_explains_compares_and_draws(run, tmp_path):
    printed = run("balancing.py", "--rows=4000", "--epochs=1")
    assert "gradient_share" in printed.split("Before training, age in years")[1]
    assert "by gradients" in printed.split("Test results")[1]
    assert (tmp_path / "balancing_by_losses.png").stat().st_size > 10_000


@pytest.mark.slow
def test_is_sharing_worth_it_compares_and_draws(run, tmp_path):
    printed = run("is_sharing_worth_it.py", "--rows=1000", "--epochs=1", "--seeds=1")
    assert "One seed has no interval" in printed
    assert (tmp_path / "is_sharing_worth_it.png").stat().st_size > 5_000
    assert "Does sharing help?" in (tmp_path / "is_sharing_worth_it.html").read_text()
