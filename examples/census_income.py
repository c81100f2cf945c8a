"""Income, marital status and education from one network, on 300,000 census records.

Trains one multi-task model and, for comparison, one single-task model a task: the same
form, the same rows, the same number of epochs at most, stopped by the same rule.
Prints the test results side by side, draws the learning curves, saves the model, loads
it again, exports it for TensorFlow Serving and asks the export about one person.

With all labels, sharing neither helps nor harms here. With 1 % of the income labels it
helps income (test AUC 0.912 against 0.905, and 0.929 against 0.922 with another seed)
and costs the other two a little: the total loss decides when training stops. The labels
to validate and test on stay complete.

    python examples/census_income.py                        # all labels
    python examples/census_income.py --income-labels 0.01   # 1 % of the income labels

The data is described in `data/census_income/README.md`.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from _census import read_census
from _report import EXPORTS, OUTPUT, print_table, save_curves, serve

import kmtl

METRICS = {"income": "auc", "marital": "accuracy", "education": "accuracy"}

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--rows", type=int, help="use the first ROWS rows of each file")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument(
    "--income-labels",
    type=float,
    default=1.0,
    metavar="SHARE",
    help="keep this share of the income labels for training",
)
parser.add_argument(
    "--weighted",
    action="store_true",
    help="let a row count for the people it stands for (instance_weight)",
)
parser.add_argument("--output", type=Path, default=OUTPUT, help="picture and model")
parser.add_argument("--exports", type=Path, default=EXPORTS, help="exported models")
args = parser.parse_args()


# 1. The data: every column is a feature but the labels and the weight of the row.
train, test = read_census(args.rows)
rng = np.random.default_rng(args.seed)
held_out = rng.random(len(train)) < 0.1
train, valid = train[~held_out].copy(), train[held_out]
train.loc[rng.random(len(train)) >= args.income_labels, "income_50k"] = None
print(
    f"{len(train):,} rows to train, {len(valid):,} to validate, {len(test):,} to test"
)
print(f"income labels to train on: {train['income_50k'].notna().sum():,}")

tasks = [
    kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
    kmtl.MulticlassTask("marital", label="marital_status"),
    kmtl.MulticlassTask("education"),
]
labels = [task.column for task in tasks]
features = kmtl.TabularFeatures.from_frame(train, exclude=["instance_weight", *labels])
weight = "instance_weight" if args.weighted else None


# 2. Training: a list with one task gives a single-task model of the same form.
def fit(tasks):
    """Builds, trains and tests one model."""
    keras.utils.set_random_seed(args.seed)
    model = kmtl.build_mtl_model(
        train,
        tasks,
        features=features,
        trunk=kmtl.trunks.MLP([256, 128], dropout=0.1),
        head_units=(32,),
    )
    history = model.fit(
        train,
        validation_data=valid,
        batch_size=1024,
        epochs=args.epochs,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
        ],
        sample_weight=weight,
        verbose=2,
    )
    result = model.evaluate(test, sample_weight=weight, return_dict=True, verbose=0)
    return model, history.history, result


print("\nmulti-task model")
model, history, shared = fit(tasks)
alone = {}
for task in tasks:
    print(f"\nsingle-task model: {task.name}")
    alone |= fit([task])[2]

# 3. Does sharing pay?
print_table(
    "Test results",
    ["task", "metric", "multi-task", "single-task", "difference"],
    [
        [task, metric, shared[key], alone[key], shared[key] - alone[key]]
        for task, metric in METRICS.items()
        for key in [f"{task}_{metric}"]
    ],
)
save_curves(history, METRICS, args.output / "census_income.png")

# 4. Save and load: tasks, features and optimizer come back with the weights.
path = args.output / "census_income.keras"
path.parent.mkdir(parents=True, exist_ok=True)
model.save(path)
loaded = keras.models.load_model(path)
person = test.head(1)
print("\nThe first person of the test file, as the loaded model sees them:")
print(loaded.predict_frame(person, verbose=0).to_string(index=False))

# 5. Export: raw columns in, one output a task out.
version = kmtl.export_saved_model(loaded, args.exports / "census_income")
served = serve(version, {name: person[name].to_list() for name in person})
print(f"Exported to {version}; served from there:")
for name, output in served.items():
    print(f"  {name}: {np.round(output[0], 4)}")
