"""Census-Income, three tasks: every balancing method against equal and tuned weights.

Income above 50,000 (ROC-AUC), marital status (7 classes) and education (17 classes,
both by accuracy); none of the three is among the inputs, nor is the weight of a row.
An embedding of the table, an MLP of 128 and 64, a linear head a task, Adam with cosine
decay to 0, batches of 512. The rows to train on and to choose settings on are drawn
from the training file, those to test on from the test file.

The sides, what they choose and what is reported are those of
`benchmarks/multi_mnist.py`.

    python benchmarks/census_balancing.py                  # half an hour on one core
    python benchmarks/census_balancing.py --sides MGDA UPGrad --seeds 2 --epochs 1
"""

import argparse

import numpy as np
from _census import LEFT_OUT, read
from _study import Study, add_arguments, main

import kmtl

TASKS = {"income": "auc", "marital": "accuracy", "education": "accuracy"}
COLUMNS = {
    "income": "income_50k",
    "marital": "marital_status",
    "education": "education",
}
RATES = (2e-3, 4e-3, 8e-3)
# The mean is 1; the first task has the smallest loss, the last one the largest.
WEIGHTS = [(2.0, 0.5, 0.5), (0.5, 2.0, 0.5), (0.5, 0.5, 2.0), (1.7, 1.0, 0.3)]
BATCH = 512
HELD_OUT = {"valid": 20_000, "test": 50_000}


def frames(rows):
    """Draws the rows of each part."""
    rng = np.random.default_rng(0)
    train, test = (read(f"census-income.{file}.xz") for file in ("data", "test"))
    order = rng.permutation(len(train))
    return {
        "train": train.iloc[order[:rows]],
        "valid": train.iloc[order[-HELD_OUT["valid"] :]],
        "test": test.iloc[rng.permutation(len(test))[: HELD_OUT["test"]]],
    }


def make_study(args):
    parts = frames(args.rows)
    features = kmtl.TabularFeatures.from_frame(parts["train"], exclude=LEFT_OUT)
    classes = {
        name: sorted(parts["train"][column].unique())
        for name, column in COLUMNS.items()
    }
    specs = {
        "income": kmtl.BinaryTask("income", positive="50000+."),
        "marital": kmtl.MulticlassTask("marital", classes=classes["marital"]),
        "education": kmtl.MulticlassTask("education", classes=classes["education"]),
    }

    def build(names, **settings):
        tasks = [specs[name] for name in names]
        trunk = kmtl.trunks.MLP([128, 64])
        return kmtl.build_mtl_model(features, tasks, trunk=trunk, **settings)

    encoded = {
        part: (
            features.encode(frame),
            {name: frame[column] for name, column in COLUMNS.items()},
        )
        for part, frame in parts.items()
    }
    return Study(TASKS, build, encoded, RATES, WEIGHTS, BATCH, args.epochs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=30_000, help="to train on")
    parser.add_argument("--epochs", type=int, default=4)
    add_arguments(parser, WEIGHTS, "benchmarks/output/census_balancing")
    main(parser.parse_args(), TASKS, WEIGHTS, make_study)
