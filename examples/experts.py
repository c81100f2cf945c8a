"""Mixtures of experts on census records, and what their gates look at.

Predicts income and never-married (education and marital status are not among the
inputs) with one shared trunk, with `MMoE`, and with `PLE`, whose tasks have experts of
their own beside a shared one. The experts are small, so that all three networks have
about as many weights. Prints the test results, and draws how much each task takes of
each expert, averaged over the test records.

No architecture stands out on this data: `benchmarks/census.py` has the comparison over
ten seeds. What the gates show is how the tasks use the network, not that it helps.

    python examples/experts.py
    python examples/experts.py --experts 8 --epochs 5

The data is described in `data/census_income/README.md`.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from _census import read_census
from _report import OUTPUT, print_table

import kmtl

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--rows", type=int, help="use the first ROWS rows of each file")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--experts", type=int, default=4, help="of the MMoE")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=OUTPUT, help="picture of the gates")
args = parser.parse_args()


# 1. The data: every column is a feature but labels, education and the row's weight.
train, test = read_census(args.rows)
tasks = [
    kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
    kmtl.BinaryTask("unmarried", label="marital_status", positive="Never married"),
]
left_out = ["instance_weight", "education", *(task.column for task in tasks)]
features = kmtl.TabularFeatures.from_frame(train, exclude=left_out)

# 2. Three ways to share; a trunk is the form of an expert.
networks = {
    "one trunk": (kmtl.trunks.MLP([256, 128]), kmtl.sharing.Hard()),
    "MMoE": (kmtl.trunks.MLP([64, 64]), kmtl.sharing.MMoE(args.experts)),
    "PLE": (
        kmtl.trunks.MLP([64, 64]),
        kmtl.sharing.PLE(task_experts=1, shared_experts=2),
    ),
}
rows, gates = [], {}
for name, (trunk, sharing) in networks.items():
    print(f"\n{name}")
    keras.utils.set_random_seed(args.seed)
    model = kmtl.build_mtl_model(
        train, tasks, features=features, trunk=trunk, sharing=sharing
    )
    model.fit(train, batch_size=512, epochs=args.epochs, verbose=2)
    logs = model.evaluate(test, batch_size=8192, return_dict=True, verbose=0)
    rows.append([name, logs["income_auc"], logs["unmarried_auc"], model.count_params()])
    # 3. A frame a gate: a row for each task, a column for each expert.
    frames = model.sharing_weights(test, batch_size=8192)
    gates |= {f"{name}: {gate}": frame for gate, frame in frames.items()}

print_table("Test AUC", ["network", "income", "unmarried", "weights"], rows)
for title, frame in gates.items():
    print(f"\n{title}\n{frame.round(2).to_string()}")


# 4. The gates as a picture.
def draw(gates, path):
    """Draws a heat map for each gate; needs the extra `plot`."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError:
        print("\nNo picture: it needs matplotlib, pip install 'kmtl[plot]'.")
        return
    figure = Figure(figsize=(3.5 * len(gates), 3), layout="constrained")
    for axes, (title, frame) in zip(
        figure.subplots(1, len(gates), squeeze=False)[0], gates.items(), strict=True
    ):
        image = axes.imshow(frame, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axes.set_title(title)
        axes.set_xticks(range(frame.shape[1]), frame.columns, rotation=45, ha="right")
        axes.set_yticks(range(frame.shape[0]), frame.index)
        for (row, column), value in np.ndenumerate(frame.to_numpy()):
            axes.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                color="white" if value > 0.5 else "black",
            )
    figure.colorbar(image, label="mean weight of the expert")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"\nGates: {path}")


draw(gates, args.output / "gates.png")
