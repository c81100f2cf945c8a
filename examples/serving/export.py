"""Trains on census records and exports the model as a server wants it.

    python examples/serving/export.py

Writes `saved_models/census/<version>/` and `saved_models/models.config`. Run it again,
and a server that is up takes the new version over. With `tensorflow-serving-api`
installed (`pip install 'kmtl[serving]'`) the version holds requests to warm up with.
The data is described in `examples/data/census_income/README.md`.
"""

import argparse
import importlib.util
from pathlib import Path

import keras
import pandas as pd

import kmtl

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data" / "census_income"
FEATURES = [
    "education",
    "class_of_worker",
    "major_occupation_code",
    "sex",
    "weeks_worked_in_year",
    "dividends_from_stocks",
]
TASKS = [
    kmtl.BinaryTask("rich", label="income_50k", positive="50000+."),
    kmtl.MulticlassTask("marital", label="marital_status"),
    kmtl.RegressionTask("age", unit="years"),
]
FILES = {"train": "census-income.data.xz", "test": "census-income.test.xz"}


def read(part, rows=None):
    """Reads the columns above from `"train"` or `"test"`."""
    return pd.read_csv(
        DATA / FILES[part],
        names=(DATA / "columns.txt").read_text().split(),
        usecols=[*FEATURES, *(task.column for task in TASKS)],
        skipinitialspace=True,
        nrows=rows,
    )


def main():
    """Trains, measures, exports, and lists the models of the folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, help="use the first ROWS rows of each file")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--exports", type=Path, default=ROOT / "saved_models")
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    train, test = read("train", args.rows), read("test", args.rows)
    model = kmtl.build_mtl_model(train, TASKS, trunk=kmtl.trunks.MLP([64]))
    model.fit(train, batch_size=1024, epochs=args.epochs, verbose=2)
    can_warm_up = importlib.util.find_spec("tensorflow_serving") is not None
    version = kmtl.export_saved_model(
        model,
        args.exports / "census",
        warm_up=test.head(64) if can_warm_up else None,
        batching={"max_batch_size": 256, "batch_timeout_micros": 1000},
        metrics=model.evaluate(test, return_dict=True, verbose=0),
        keep=2,
    )
    config = kmtl.serving.write_models_config(args.exports)
    print(f"Exported to {version}; models to serve: {config}")
    if not can_warm_up:
        print("No requests to warm up with: pip install 'kmtl[serving]'")


if __name__ == "__main__":
    main()
