"""Architectures of `kmtl.sharing`: stacked tensors against a Python loop of layers.

All sides train one network: 64 features, a trunk of two layers of 64 (ReLU), one linear
head a task, binary labels, Adam, batches of 256, NumPy arrays, no metrics. Every
architecture runs with its defaults.

The loop is plain functional Keras as one would write it from the paper: a `Dense` for
every layer of every expert, tower and head, one for every gate, and a product of gates
and stacked experts for every task. It has the same number of weights, which is checked.
`Soft` is compared with towers without any penalty, and `FiLM`, `DSelectK`, `Sluice`,
`MTAN`, `LowLevel` and `Branched` are timed alone.

Each measurement is a fresh process; clocks are those of `benchmarks/heads.py`. The
machine should do nothing else.

    python benchmarks/sharing.py                    # about an hour on two cores
    python benchmarks/sharing.py --tasks 2 10 --only MMoE PLE --quick
    python benchmarks/sharing.py --school           # soft sharing of 139 towers
"""

import argparse
import time

import keras
import numpy as np
from _measure import batch_clock, medians, run

import kmtl

BATCH = 256
FEATURES = 64
UNITS = (64, 64)
WARM_UP = 10
EXPERTS = 8  # of MMoE, by default
TARGETS = {10: "ratio at most 0.7", 100: "ratio at most 0.3"}
SCHOOL = {"features": 28, "tasks": 139, "units": (32,), "target": "under 30 ms"}


def data(tasks, steps):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * steps, FEATURES)).astype("float32")
    labels = (x @ rng.normal(size=(FEATURES, tasks)) > 0).astype("float32")
    return x, {f"task{t}": np.ascontiguousarray(labels[:, t]) for t in range(tasks)}


def build_kmtl(architecture, tasks):
    return kmtl.build_mtl_model(
        (FEATURES,),
        [kmtl.BinaryTask(f"task{t}", metrics=[]) for t in range(tasks)],
        trunk=kmtl.trunks.MLP(UNITS),
        sharing=getattr(kmtl.sharing, architecture)(),
    )


def build_loop(architecture, tasks):
    inputs = keras.Input((FEATURES,))
    features = LOOPS[architecture](inputs, tasks)
    outputs = {
        f"task{t}": keras.layers.Dense(1, activation="sigmoid", name=f"task{t}")(x)
        for t, x in enumerate(features)
    }
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss=dict.fromkeys(outputs, "binary_crossentropy"))
    return model


def block(x, units):
    return keras.layers.Dense(units, activation="relu")(x)


def tower(x):
    for units in UNITS:
        x = block(x, units)
    return x


def gate(x, experts):
    return keras.layers.Dense(experts, activation="softmax", use_bias=False)(x)


def mix(weights, experts):
    rows = [keras.layers.Reshape((1, -1))(expert) for expert in experts]
    stacked = keras.layers.Concatenate(axis=1)(rows) if len(rows) > 1 else rows[0]
    return keras.layers.Dot(axes=1)([weights, stacked])


class Stitch(keras.layers.Layer):
    """What one task receives: a weighted sum of the activations of all."""

    def build(self, input_shape):
        self.row = self.add_weight(shape=(len(input_shape),))

    def call(self, inputs):
        return keras.ops.einsum("s,sbf->bf", self.row, keras.ops.stack(inputs))


def hard_loop(inputs, tasks):
    return [tower(inputs)] * tasks


def towers_loop(inputs, tasks):
    return [tower(inputs) for _ in range(tasks)]


def cross_stitch_loop(inputs, tasks):
    streams = [inputs] * tasks
    for units in UNITS:
        streams = [block(x, units) for x in streams]
        streams = [Stitch()(streams) for _ in range(tasks)]
    return streams


def mmoe_loop(inputs, tasks):
    experts = [tower(inputs) for _ in range(EXPERTS)]
    return [mix(gate(inputs, EXPERTS), experts) for _ in range(tasks)]


def cgc_loop(inputs, tasks):
    own, shared = [tower(inputs) for _ in range(tasks)], tower(inputs)
    return [mix(gate(inputs, 2), [expert, shared]) for expert in own]


def ple_loop(inputs, tasks):
    streams, shared = [inputs] * tasks, inputs
    for level, units in enumerate(UNITS):
        own, common = [block(x, units) for x in streams], block(shared, units)
        if level < len(UNITS) - 1:
            shared = mix(gate(shared, tasks + 1), [*own, common])
        pairs = zip(streams, own, strict=True)
        streams = [mix(gate(x, 2), [expert, common]) for x, expert in pairs]
    return streams


def adatt_loop(inputs, tasks):
    streams = [inputs] * tasks
    for units in UNITS:
        experts = [block(x, units) for x in streams]
        fused = [mix(gate(x, tasks), experts) for x in streams]
        pairs = zip(fused, experts, strict=True)
        streams = [keras.layers.Add()(list(pair)) for pair in pairs]
    return streams


LOOPS = {
    "AdaTT": adatt_loop,
    "CGC": cgc_loop,
    "CrossStitch": cross_stitch_loop,
    "Hard": hard_loop,
    "MMoE": mmoe_loop,
    "PLE": ple_loop,
    "Soft": towers_loop,
}
BUILDERS = {"kmtl": build_kmtl, "loop": build_loop}


def measure(side, architecture, tasks, steps):
    """Builds and trains one side; returns seconds, milliseconds and trained weights."""
    if architecture == "School":
        return {"step": school_step(steps)}
    x, y = data(tasks, steps)
    clock, ends = batch_clock()
    start = time.perf_counter()
    model = BUILDERS[side](architecture, tasks)
    model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[clock])
    sizes = [np.prod(weight.shape) for weight in model.trainable_weights]
    return {
        "first": ends[0] - start,
        "step": step_of(ends),
        "weights": int(sum(sizes)),
    }


def step_of(ends):
    return 1e3 * float(np.median(np.diff(ends[WARM_UP:])))


def school_step(steps):
    """One tower a school, in the shapes of the School data: a row has one label."""
    rng = np.random.default_rng(0)
    rows, tasks = BATCH * steps, SCHOOL["tasks"]
    x = rng.normal(size=(rows, SCHOOL["features"])).astype("float32")
    labels = np.full((rows, tasks), np.nan, "float32")
    labels[np.arange(rows), rng.integers(0, tasks, rows)] = x @ rng.normal(
        size=SCHOOL["features"]
    )
    names = [f"school{t}" for t in range(tasks)]
    model = kmtl.build_mtl_model(
        (SCHOOL["features"],),
        [kmtl.RegressionTask(name, metrics=[]) for name in names],
        trunk=kmtl.trunks.MLP(SCHOOL["units"]),
        sharing=kmtl.sharing.Soft(kmtl.regularizers.MeanL2(1e-2)),
    )
    clock, ends = batch_clock()
    y = dict(zip(names, labels.T, strict=True))
    model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[clock])
    return step_of(ends)


def show(architecture, tasks, mine, loop):
    cells = [f"{architecture:<12}", f"{tasks:>5}", f"{mine['weights']:>9}"]
    for quantity in ("first", "step"):
        other = loop.get(quantity)
        cells += [
            f"{mine[quantity]:>7.2f}",
            f"{'-' if other is None else f'{other:.2f}':>7}",
            f"{'-' if other is None else f'{mine[quantity] / other:.2f}':>5}",
        ]
    print("  ".join([*cells, TARGETS.get(tasks, "") if loop else ""]), flush=True)


def main(args):
    print(f"kmtl {kmtl.__version__}, Keras {keras.__version__}, batches of {BATCH},")
    print(f"medians of {args.repeats} processes of {args.steps} steps each")
    if args.school:
        result = medians(
            __file__, ["kmtl"], ["School", SCHOOL["tasks"], args.steps], args.repeats
        )["kmtl"]["step"]
        print(
            f"\nSoft, {SCHOOL['tasks']} towers, School's shapes: {result:.1f} ms a step"
        )
        print(f"target: {SCHOOL['target']}")
        return
    print(
        f"\n{'':<12}  tasks    weights  first s     loop  ratio  "
        "step ms     loop  ratio  target of the step"
    )
    for tasks in args.tasks:
        for architecture in args.only:
            sides = ["kmtl", "loop"] if architecture in LOOPS else ["kmtl"]
            result = medians(
                __file__, sides, [architecture, tasks, args.steps], args.repeats
            )
            loop = result.get("loop", {})
            if loop and loop["weights"] != result["kmtl"]["weights"]:
                raise ValueError(f"{architecture}: the two networks differ. {result}")
            show(architecture, tasks, result["kmtl"], loop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 10, 100])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=kmtl.sharing.__all__,
        default=kmtl.sharing.__all__,
        metavar="ARCHITECTURE",
    )
    parser.add_argument("--school", action="store_true", help="only 139 towers")
    run(parser, measure, main)
