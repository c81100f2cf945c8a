"""A trained model learns one more task: what the old ones forget, and what helps.

A model of marital status and education is trained on census records; then comes a new
task, income over 50,000, with labels on records that have none for the old tasks. The
head alone is trained, or everything, or everything with the old model's outputs to keep
(learning without forgetting). Prints the test losses of all tasks before and after.

The head alone forgets nothing, bit by bit, and is the weakest at the new task: a test
AUC of 0.930. Training everything gives 0.949 and spoils the old tasks (loss of marital
status 0.235 before, 0.342 after); with distillation it gives 0.949 and they stay as
good as they were (0.237).

    python examples/adding_a_task.py
    python examples/adding_a_task.py --distill 3   # hold on to the old tasks harder

The data is described in `data/census_income/README.md`.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from _census import read_census
from _report import EXPORTS, OUTPUT, print_table

import kmtl

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--rows", type=int, help="use the first ROWS rows of each file")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--distill", type=float, default=1.0, help="weight of distillation")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=OUTPUT, help="the model")
parser.add_argument("--exports", type=Path, default=EXPORTS, help="exported models")
args = parser.parse_args()


# 1. The data: one half of the records has labels of the old tasks, the other half has
# those of the new one.
names = {"income_50k": "income", "marital_status": "marital"}
train, test = (frame.rename(columns=names) for frame in read_census(args.rows))
is_old = np.random.default_rng(args.seed).random(len(train)) < 0.5
old_rows, new_rows = train[is_old], train[~is_old]

old_tasks = [kmtl.MulticlassTask("marital"), kmtl.MulticlassTask("education")]
income = kmtl.BinaryTask("income", classes=["- 50000.", "50000+."])
labels = [task.column for task in (*old_tasks, income)]

# 2. The model of the old tasks. What will be a label later is no feature now.
keras.utils.set_random_seed(args.seed)
features = kmtl.TabularFeatures.from_frame(train, exclude=["instance_weight", *labels])
model = kmtl.build_mtl_model(
    old_rows,
    old_tasks,
    features=features,
    trunk=kmtl.trunks.MLP([256, 128], dropout=0.1),
    head_units=(32,),
)
settings = {"batch_size": 1024, "epochs": args.epochs, "verbose": 2}
model.fit(old_rows, **settings)
before = model.evaluate(test, batch_size=4096, return_dict=True, verbose=0)

# 3. The new task, on records without labels of the old ones.
WAYS = {
    "the head": {"train": "head"},
    "everything": {"train": "all"},
    "everything, distilled": {"train": "all", "distill": args.distill},
}
new_rows = new_rows.drop(columns=["marital", "education"])
results = {"before": before}
for way, options in WAYS.items():
    print(f"\nTraining {way}")
    larger = kmtl.add_task(model, income, **options)
    larger.fit(new_rows, new_rows[["income"]], **settings)
    results[way] = larger.evaluate(test, batch_size=4096, return_dict=True, verbose=0)

columns = ["marital_loss", "education_loss", "income_loss", "income_auc"]
print_table(
    "Test results",
    ["trained", *columns],
    [
        [way, *(logs.get(c, float("nan")) for c in columns)]
        for way, logs in results.items()
    ],
)

# 4. A task can go again; what is left is saved and exported like any model.
smaller = kmtl.remove_task(larger, "education")
path = args.output / "adding_a_task.keras"
path.parent.mkdir(parents=True, exist_ok=True)
smaller.save(path)
loaded = keras.models.load_model(path)
print("\nThe first person of the test file, without the task education:")
print(loaded.predict_frame(test.head(1), verbose=0).to_string(index=False))
version = kmtl.export_saved_model(loaded, args.exports / "adding_a_task")
print(f"Exported to {version}")
