"""Looks at the losses of three census tasks, and weighs the tasks in three ways.

Predicts income, education and age. First comes the table to look at before anything
else: how much of the loss and of the gradient each task has, with age in years and
standardised, as it is by default. Then the same network is trained with fixed weights,
with weights by losses and with weights by gradients. Prints the test results, and draws
how the gradients of the tasks agreed.

The unit of age matters, the methods hardly do. The tasks rarely conflict, so weights by
gradients stay at 1 and the results are those of fixed weights. Weights by losses give
to income (AUC 0.950 against 0.949) what they take from education (accuracy 0.559
against 0.564); a second seed says the same. All have one learning rate here:
`benchmarks/census_balancing.py` tunes it for each method, over several seeds.

    python examples/balancing.py

The data is described in `data/census_income/README.md`.
"""

import argparse
from pathlib import Path

import keras
from _census import read_census
from _report import OUTPUT, print_table

import kmtl

METHODS = {
    "fixed weights": kmtl.balancing.FixedWeights(),
    "by losses": kmtl.balancing.UncertaintyWeighting(),
    "by gradients": kmtl.balancing.UPGrad(),
}
METRICS = ["income_auc", "education_accuracy", "age_mae"]

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--rows", type=int, help="use the first ROWS rows of each file")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=OUTPUT, help="for the pictures")
args = parser.parse_args()

# 1. The data: every column is a feature but the labels and the weight of the row.
train, test = read_census(args.rows)
tasks = [
    kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
    kmtl.MulticlassTask("education"),
    kmtl.RegressionTask("age"),
]
in_years = [*tasks[:2], kmtl.RegressionTask("age", standardize=False)]
labels = [task.column for task in tasks]
features = kmtl.TabularFeatures.from_frame(train, exclude=["instance_weight", *labels])


def build(tasks, balancing=None):
    """Builds the network that is the same throughout."""
    keras.utils.set_random_seed(args.seed)
    return kmtl.build_mtl_model(
        train,
        tasks,
        features=features,
        trunk=kmtl.trunks.MLP([256, 128], dropout=0.1),
        head_units=(32,),
        balancing=balancing,
    )


# 2. Look before you weigh: in years, age has all of the loss and of the gradient.
sample = train.sample(min(len(train), 20_000), random_state=args.seed)
for title, form in {"age in years": in_years, "age standardised": tasks}.items():
    print(f"\nBefore training, {title}")
    print(build(form).explain_loss(sample).round(3).to_string())

# 3. The same training with each method; a callback watches the gradients.
rows = []
args.output.mkdir(parents=True, exist_ok=True)
for name, method in METHODS.items():
    print(f"\n{name}")
    model, conflict = build(tasks, method), kmtl.callbacks.GradientConflict()
    model.fit(
        train, batch_size=1024, epochs=args.epochs, callbacks=[conflict], verbose=2
    )
    result = model.evaluate(test, batch_size=8192, return_dict=True, verbose=0)
    rows.append([name, *(result[metric] for metric in METRICS)])
    rows[-1] += model.task_weights.values()
    path = args.output / f"balancing_{name.replace(' ', '_')}.png"
    try:
        conflict.plot(path)
        print(f"Gradients: {path}")
    except ImportError as error:
        print(error)  # says what to install

# 4. Did it pay?
names = [f"weight of {task.name}" for task in tasks]
print_table("Test results and last weights", ["", *METRICS, *names], rows)
