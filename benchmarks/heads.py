"""Many heads: kmtl's stacked heads against plain functional Keras, and PyTorch.

All sides train one network: 64 features, a trunk of 128 and 128, and for each task a
head of 32 and 1 (ReLU, binary labels, Adam, batches of 256, NumPy arrays, defaults).

* plain Keras: one chain of `Dense` a head, a dict of losses, `keras.metrics.AUC` a task
  where AUC is on (200 thresholds, Keras' default);
* PyTorch (`--torch`, needs the extra `torch`): one `nn.Sequential` a head, the losses
  summed, no metrics; step time only;
* 1,000 tasks: kmtl, and PyTorch where asked. Plain Keras needs many minutes to start.

Each measurement is a fresh process, so that nothing is warm. Imports and making the
data are not counted. "First step": from before the model is built to the end of the
first batch of `fit`. "Step": the median time between the ends of two batches inside
`fit` (progress bar off), the first ten left out; both Keras sides go through the same
clock. Memory is the peak of the whole process. Numbers are medians over the repeats,
whose sides take turns; the machine should do nothing else.

    python benchmarks/heads.py                      # about 25 minutes on two cores
    python benchmarks/heads.py --tasks 2 10 --quick
    python benchmarks/heads.py --torch
"""

import argparse
import importlib
import resource
import time

import keras
import numpy as np
from _measure import batch_clock, medians, run

import kmtl

BATCH = 256
FEATURES = 64
WARM_UP = 10
UNITS = {"first": "first step, s", "step": "step, ms", "memory": "memory, MB"}
TARGETS = {
    ("step", 2, "plain Keras"): "ratio at most 1.1",
    ("step", 10, "plain Keras"): "ratio at most 0.6",
    ("step", 100, "plain Keras"): "ratio at most 0.25",
    ("first", 100, "plain Keras"): "ratio at most 0.033, with AUC 0.05",
    ("first", 1000, "-"): "under 5 s, with AUC 10 s",
    ("memory", 1000, "-"): "under 2000 MB",
    ("step", 1000, "100 tasks"): "ratio below 12",
    ("step", 100, "PyTorch"): "ratio at most 0.35",
    ("step", 1000, "PyTorch"): "ratio at most 0.3",
}


def data(tasks, steps):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * steps, FEATURES)).astype("float32")
    labels = (x @ rng.normal(size=(FEATURES, tasks)) > 0).astype("float32")
    return x, {f"task{t}": np.ascontiguousarray(labels[:, t]) for t in range(tasks)}


def build_kmtl(tasks, auc):
    metrics = ["auc"] if auc else []
    return kmtl.build_mtl_model(
        (FEATURES,),
        [kmtl.BinaryTask(f"task{t}", metrics=metrics) for t in range(tasks)],
        trunk=kmtl.trunks.MLP([128, 128]),
        head_units=(32,),
        optimizer="adam",
    )


def build_keras(tasks, auc):
    inputs = keras.Input((FEATURES,))
    shared = keras.layers.Dense(128, activation="relu")(inputs)
    shared = keras.layers.Dense(128, activation="relu")(shared)
    outputs = {}
    for name in [f"task{t}" for t in range(tasks)]:
        hidden = keras.layers.Dense(32, activation="relu")(shared)
        outputs[name] = keras.layers.Dense(1, activation="sigmoid", name=name)(hidden)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer="adam",
        loss=dict.fromkeys(outputs, "binary_crossentropy"),
        metrics={name: [keras.metrics.AUC(name="auc")] for name in outputs if auc},
    )
    return model


def measure_fit(build, tasks, auc, steps):
    x, y = data(tasks, steps)
    clock, ends = batch_clock()
    start = time.perf_counter()
    model = build(tasks, auc)
    model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[clock])
    return {
        "first": ends[0] - start,
        "step": 1e3 * float(np.median(np.diff(ends[WARM_UP:]))),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_torch(tasks, steps):
    torch = importlib.import_module("torch")
    nn = torch.nn
    x, y = data(tasks, steps)
    x, y = torch.from_numpy(x), torch.from_numpy(np.stack(list(y.values()), 1))
    trunk = nn.Sequential(
        nn.Linear(FEATURES, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()
    )
    heads = nn.ModuleList(
        nn.Sequential(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 1))
        for _ in range(tasks)
    )
    optimizer = torch.optim.Adam([*trunk.parameters(), *heads.parameters()])
    loss_of = nn.BCEWithLogitsLoss()
    ends = []
    for rows in torch.randperm(len(x)).split(BATCH):
        shared, labels = trunk(x[rows]), y[rows]
        loss = sum(
            loss_of(head(shared)[:, 0], labels[:, t]) for t, head in enumerate(heads)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # Keras reads the loss back after each batch as well
        ends.append(time.perf_counter())
    return {"step": 1e3 * float(np.median(np.diff(ends[WARM_UP:])))}


def measure(side, tasks, auc, steps):
    """Builds and trains one side; returns seconds, milliseconds and megabytes."""
    if side == "PyTorch":
        return measure_torch(tasks, steps)
    build = {"kmtl": build_kmtl, "plain Keras": build_keras}[side]
    return measure_fit(build, tasks, auc, steps)


def show(quantity, tasks, auc, mine, other_name, other):
    """Prints one row of the table; `other` is None where there is nothing beside."""
    cells = [
        f"{tasks:>5}",
        f"{'yes' if auc else 'no':>3}",
        f"{UNITS[quantity]:<13}",
        f"{mine:>8.2f}",
        f"{'-' if other is None else f'{other:.2f}':>8}",
        f"{other_name:<11}",
        f"{'-' if other is None else f'{mine / other:.3f}':>6}",
        TARGETS.get((quantity, tasks, other_name), ""),
    ]
    print("  ".join(cells), flush=True)


def show_group(tasks, auc, result):
    """Prints what was measured for one number of tasks."""
    mine, plain = result["kmtl"], result.get("plain Keras", {})
    for quantity in UNITS:
        other_name = "plain Keras" if plain else "-"
        show(quantity, tasks, auc, mine[quantity], other_name, plain.get(quantity))
    if "PyTorch" in result:
        other = result["PyTorch"]["step"]
        show("step", tasks, auc, mine["step"], "PyTorch", other)


def main(args):
    print(f"kmtl {kmtl.__version__}, Keras {keras.__version__}, batches of {BATCH},")
    print(f"medians of {args.repeats} processes of {args.steps} steps each")
    print(
        f"\ntasks  AUC  {'':<13}  {'kmtl':>8}  {'other':>8}  {'':<11}   ratio  target"
    )
    steps = {}
    for tasks in args.tasks:
        for auc in (False, True):
            sides = ["kmtl"]
            sides += ["plain Keras"] if tasks < 1000 else []
            sides += ["PyTorch"] if args.torch and not auc else []
            result = medians(__file__, sides, [tasks, auc, args.steps], args.repeats)
            steps[tasks, auc] = result["kmtl"]["step"]
            show_group(tasks, auc, result)
    for auc in (False, True):
        if {(100, auc), (1000, auc)} <= steps.keys():
            few, many = steps[100, auc], steps[1000, auc]
            show("step", 1000, auc, many, "100 tasks", few)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 10, 100, 1000])
    parser.add_argument("--torch", action="store_true", help="PyTorch beside it")
    run(parser, measure, main)
