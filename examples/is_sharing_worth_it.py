"""Is sharing worth it? One call answers, on census records.

Compares one network for income, marital status and education with a network for each,
over several seeds, and with two kinds of single-task networks: as wide as the shared
one, and so narrow that all together have as many weights. Prints means, gains with
intervals and a verdict a task, draws the gains, and writes a page about the shared
model, to look at in a browser.

With a few thousand records the differences are small and seeds differ, which is what
the intervals are for: without them, chance would decide.

    python examples/is_sharing_worth_it.py               # some minutes
    python examples/is_sharing_worth_it.py --rows 50000 --seeds 5

The data is described in `data/census_income/README.md`.
"""

import argparse
from pathlib import Path

import keras
from _census import read_census
from _report import OUTPUT

import kmtl

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--rows", type=int, default=5000, help="of each file, the first")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--epochs", type=int, default=15, help="at most")
parser.add_argument("--output", type=Path, default=OUTPUT, help="pictures and report")
args = parser.parse_args()


# 1. The data: every column is a feature but the labels and the weight of the row.
train, test = (
    frame.drop(columns="instance_weight") for frame in read_census(args.rows)
)
tasks = [
    kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
    kmtl.MulticlassTask("marital", label="marital_status"),
    kmtl.MulticlassTask("education"),
]
trunk = kmtl.trunks.MLP([128, 64], dropout=0.1)

# 2. The comparison. `folder=` would let an interrupted one go on, `jobs=-1` use all
# cores (then under `if __name__ == "__main__":`).
comparison = kmtl.compare(
    train,
    tasks,
    test=test,
    trunk=trunk,
    seeds=args.seeds,
    epochs=args.epochs,
    patience=2,
)
print(f"\n{comparison}")
args.output.mkdir(parents=True, exist_ok=True)
try:
    comparison.plot().savefig(args.output / "is_sharing_worth_it.png", dpi=120)
except ImportError as error:
    print(f"\nNo picture: {error}")

# 3. One page about the shared model: results, curves, the network, who is heard.
train, valid = kmtl.data.split(train, tasks, (0.9, 0.1))
model = kmtl.build_mtl_model(train, tasks, trunk=trunk)
conflict = kmtl.callbacks.GradientConflict()
stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
history = model.fit(
    train,
    validation_data=valid,
    epochs=args.epochs,
    callbacks=[stop, conflict],
    verbose=0,
)
try:
    page = kmtl.analysis.report(
        model,
        history,
        {"train": train, "valid": valid, "test": test},
        args.output / "is_sharing_worth_it.html",
        comparison=comparison,
        conflict=conflict,
        title="Census-Income: is sharing worth it?",
    )
    print(f"\nOpen {page} in a browser.")
except ImportError as error:
    print(f"\nNo page: {error}")
