"""What balancing costs: steps and memory of every method against equal weights.

The network of `benchmarks/heads.py`: 64 features, a trunk of 128 and 128, for each task
a head of 32 and 1 (ReLU, binary labels, Adam, batches of 256, no metrics), every method
with its defaults. Methods by gradients run at both places: `at="representation"` and
`at="shared"`, which is exact. Beside them, with `--torch` (the extra `torch`), at the
same exactness and with the same method for one of ours:

* TorchJD: `mtl_backward`, which differentiates all tasks at once, and `jac_to_grad`;
* PyTorch: a backward pass for each task, then TorchJD's weights from the Gramian.

"Step" is the median time between the ends of two batches, the first ten left out, and
"memory" by how much the peak of the process grows once everything is imported; "ratio"
is to equal weights in kmtl. Every measurement is a fresh process; numbers are medians
over the repeats, whose sides take turns. The machine should do nothing else.

    python benchmarks/balancing.py --torch             # about an hour on two cores
    python benchmarks/balancing.py --methods MGDA UPGrad --tasks 2 10 --quick
"""

import argparse
import importlib
import resource
import time

import keras
import numpy as np
from _measure import batch_clock, medians, run
from heads import BATCH, FEATURES, WARM_UP, build_kmtl, data

import kmtl
from kmtl import balancing

EQUAL = "equal weights"
PLACES = ("representation", "shared")
# At most how much longer than with equal weights, by number of tasks.
TARGETS = {
    "representation": {2: 1.3, 10: 1.5, 100: 2.5},
    "shared": {2: 2.0, 10: 3.0, 100: 6.0},
    "losses": {2: 1.05, 10: 1.05, 100: 1.05},
}
# At least how many times as long as ours, with 100 tasks.
TIMES = {"TorchJD": 3, "PyTorch": 5}
# Methods of TorchJD, by ours: with them its own cost is small, and the one it advises.
IN_TORCH = {"IMTLG": "IMTLG", "UPGrad": "UPGrad"}


def sides_of(name):
    """The sides of a method: one for methods by losses, one a place for the others."""
    if issubclass(getattr(balancing, name), balancing.GradientBalancing):
        return [f"{name} at {place}" for place in PLACES]
    return [name]


def make_method(side):
    if side == EQUAL:
        return None
    name, _, place = side.partition(" at ")
    return getattr(balancing, name)(**({"at": place} if place else {}))


def measure_fit(side, tasks, steps):
    x, y = data(tasks, steps)
    model = build_kmtl(tasks, auc=False)
    model.compile(balancing=make_method(side))
    clock, ends = batch_clock()
    model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[clock])
    return ends


def torch_network(tasks):
    nn = importlib.import_module("torch").nn
    trunk = nn.Sequential(
        nn.Linear(FEATURES, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()
    )
    heads = nn.ModuleList(
        nn.Sequential(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 1))
        for _ in range(tasks)
    )
    return trunk, heads


def torchjd_backward(name):
    """Returns what leaves the gradients of a step in the parameters, by TorchJD."""
    autojac = importlib.import_module("torchjd.autojac")
    method = getattr(importlib.import_module("torchjd.aggregation"), name)()

    def backward(losses, shared, trunk, heads):
        del heads
        autojac.mtl_backward(losses, shared)
        autojac.jac_to_grad(trunk.parameters(), method)

    return backward


def loop_backward(name):
    """The same by a backward pass for each task."""
    torch = importlib.import_module("torch")
    aggregation = importlib.import_module("torchjd.aggregation")
    weigh = getattr(aggregation, f"{name}Weighting")()

    def backward(losses, shared, trunk, heads):
        del shared
        weights, rows = list(trunk.parameters()), []
        for loss, head in zip(losses, heads, strict=True):
            own = list(head.parameters())
            both = torch.autograd.grad(loss, [*weights, *own], retain_graph=True)
            rows.append(torch.cat([g.flatten() for g in both[: len(weights)]]))
            for weight, gradient in zip(own, both[len(weights) :], strict=True):
                weight.grad = gradient
        jacobian = torch.stack(rows)
        total = weigh(jacobian @ jacobian.T) @ jacobian
        parts = total.split([weight.numel() for weight in weights])
        for weight, part in zip(weights, parts, strict=True):
            weight.grad = part.view_as(weight)

    return backward


def measure_torch(backward, tasks, steps):
    torch = importlib.import_module("torch")
    x, y = data(tasks, steps)
    x, y = torch.from_numpy(x), torch.from_numpy(np.stack(list(y.values()), 1))
    trunk, heads = torch_network(tasks)
    optimizer = torch.optim.Adam([*trunk.parameters(), *heads.parameters()])
    loss_of = torch.nn.BCEWithLogitsLoss()
    ends = []
    for rows in torch.randperm(len(x)).split(BATCH):
        shared, labels = trunk(x[rows]), y[rows]
        losses = [
            loss_of(head(shared)[:, 0], labels[:, t]) for t, head in enumerate(heads)
        ]
        optimizer.zero_grad()
        backward(losses, shared, trunk, heads)
        optimizer.step()
        sum(losses).item()  # Keras reads the loss back after each batch as well
        ends.append(time.perf_counter())
    return ends


def measure(side, tasks, steps):
    """Trains one side; returns milliseconds a step and megabytes."""
    library, _, name = side.partition(": ")
    if library in TIMES:
        make_backward = {"TorchJD": torchjd_backward, "PyTorch": loop_backward}[library]
        backward, before = make_backward(name), peak()
        ends = measure_torch(backward, tasks, steps)
    else:
        before = peak()
        ends = measure_fit(side, tasks, steps)
    return {
        "step": 1e3 * float(np.median(np.diff(ends[WARM_UP:]))),
        "memory": peak() - before,
    }


def peak():
    """The most memory that the process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(side, tasks, result, remark):
    """Prints one row of the table."""
    mine, equal = result[side], result[EQUAL]
    cells = [f"{tasks:>5}", f"{side:<30}"]
    for quantity in ("step", "memory"):
        ratio = mine[quantity] / equal[quantity]
        cells.append(f"{mine[quantity]:>8.2f}  {ratio:>6.2f}")
    print("  ".join([*cells, remark]), flush=True)


def show_ours(side, tasks, result):
    place = side.partition(" at ")[2]
    target = TARGETS[place or "losses"].get(tasks)
    wanted = f"ratio of steps at most {target}" if target and side != EQUAL else ""
    show(side, tasks, result, wanted)


def show_torch(side, tasks, result):
    library, _, name = side.partition(": ")
    ours = f"{name} at shared"
    times = result[side]["step"] / result[ours]["step"]
    wanted = f" (wanted: {TIMES[library]})" if tasks == 100 else ""
    show(side, tasks, result, f"{times:.1f} times {ours}{wanted}")


def main(args):
    print(f"kmtl {kmtl.__version__}, Keras {keras.__version__}, batches of {BATCH},")
    print(f"medians of {args.repeats} processes of {args.steps} steps each\n")
    print(f"tasks  {'':<30}  step, ms   ratio  mem., MB   ratio")
    sides = [EQUAL, *(side for name in args.methods for side in sides_of(name))]
    pairs = [name for name in args.methods if name in IN_TORCH and args.torch]
    others = [f"{library}: {name}" for name in pairs for library in TIMES]
    for tasks in args.tasks:
        job = [tasks, args.steps]
        result = medians(__file__, [*sides, *others], job, args.repeats)
        for side in sides:
            show_ours(side, tasks, result)
        for side in others:
            show_torch(side, tasks, result)


if __name__ == "__main__":
    bases = {"Balancing", "GradientBalancing", "LossBalancing", "State", "Step"}
    names = [name for name in balancing.__all__ if name not in bases]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 10, 100])
    parser.add_argument("--methods", nargs="+", choices=names, default=names)
    parser.add_argument("--torch", action="store_true", help="PyTorch beside it")
    run(parser, measure, main)
