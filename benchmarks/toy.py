"""The two-objective toy problem: which methods reach the Pareto front?

Two functions of two numbers from CAGrad (Liu et al., NeurIPS 2021, appendix), used
since by Nash-MTL (Navon et al., ICML 2022) and FAMO (Liu et al., NeurIPS 2023). Above
`x2 = 0` each has a valley along a curve, so steep that steps along it are lost in
steps across it; below there are two bowls. The best points of the mean, and of every
other weighted sum, lie near a line: `x2 = -8.355`, `x1` from -7 to 7.

* CAGrad's protocol: three starting points, 100,000 steps.
* Nash-MTL's protocol: five starting points, the first objective times 0.1, 50,000
  steps.

Both use Adam with a learning rate of 0.001 and float64. Printed are both objectives at
the end, and "stuck" where their mean is above -5, "..." where the point still moves.

What can be compared: who gets stuck and who arrives. Paths that cross a valley meet
gradients of 100,000 and are chaotic: a start moved by 1e-9 may end elsewhere on the
line. Repeatable are the ends of CAGrad in its own protocol, and all from its second
start. UPGrad and DualProj are stuck by the 1e-4 that keeps their weights bounded;
TorchJD 0.18 has it too, and its UPGrad is stuck from the same starts.

    python benchmarks/toy.py                           # about 3 minutes on two cores
    python benchmarks/toy.py --methods MGDA CAGrad
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image

import kmtl
from kmtl import balancing

RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8  # Adam
RECORDS = 100  # points of a path that are kept
PROTOCOLS = {
    # Name: starting points, factors of the objectives, steps.
    "CAGrad": ([(-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0)], (1.0, 1.0), 100_000),
    "Nash-MTL": (
        [(-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0)],
        (0.1, 1.0),
        50_000,
    ),
}
TASKS = [kmtl.RegressionTask("f1"), kmtl.RegressionTask("f2")]
FRONT = -8.3552


def objectives(x):
    """Both objectives at points of shape `(..., 2)`."""
    x1, x2 = tf.unstack(x, axis=-1)
    # At a tie `tf.maximum` passes the gradient to its first argument, as `clamp` of
    # PyTorch does. Where it passed none, nothing would move from (0, 0).
    above, below = tf.maximum(tf.tanh(x2 / 2), 0), tf.maximum(tf.tanh(-x2 / 2), 0)
    valleys = (-x1 - 7) / 2 + tf.tanh(x2), (-x1 + 3) / 2 - tf.tanh(x2) + 2
    bowls = [((x1 + side) ** 2 + (x2 + 8) ** 2 / 10) / 10 - 20 for side in (-7, 7)]
    return tf.stack(
        [
            above * (tf.math.log(tf.maximum(tf.abs(valley), 5e-6)) + 6) + below * bowl
            for valley, bowl in zip(valleys, bowls, strict=True)
        ],
        axis=-1,
    )


def values_and_gradients(x, factors):
    """The objectives at a point, `(2,)`, and a row of gradient for each."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        first, second = tf.unstack(factors * objectives(x))
    gradients = tape.gradient(first, x), tape.gradient(second, x)
    return tf.stack([first, second]), tf.stack(gradients)


def weigh(method, x, factors, state, number):
    """The weighted gradient, and the state and the step of the method."""
    losses, gradients = values_and_gradients(x, factors)
    step = balancing.Step(
        losses=losses,
        present=tf.ones_like(losses),
        epoch=tf.zeros((), "int32"),
        number=number,
        keys=tf.constant([1, 2], "int64"),
        gramian=gradients @ tf.transpose(gradients),
    )
    weights, state = method(step, state)
    return tf.linalg.matvec(gradients, tf.cast(weights, x.dtype), True), state, step


def descend(method, factors, number, x, mean, square, state):
    """One step of Adam down the weighted objectives."""
    gradient, state, step = weigh(method, x, factors, state, number)
    number += 1
    mean = BETA_1 * mean + (1 - BETA_1) * gradient
    square = BETA_2 * square + (1 - BETA_2) * gradient**2
    count = tf.cast(number, x.dtype)
    length = RATE / (1 - BETA_1**count)
    x -= length * mean / (tf.sqrt(square / (1 - BETA_2**count)) + EPSILON)
    if isinstance(method, balancing.LossBalancing) and method.sees_losses_after:
        state = method.after(step, factors * objectives(x), state)
    return number, x, mean, square, state


def paths(method, starts, factors, steps):
    """Where a method goes from starting points, `(records, 2)` each."""
    factors = tf.constant(factors, "float64")

    # One compiled loop: 100,000 steps take a second or less.
    @tf.function(jit_compile=True, autograph=False)
    def advance(*loop):
        end = loop[0] + steps // RECORDS
        return tf.while_loop(
            lambda number, *_: number < end, partial(descend, method, factors), loop
        )

    state = method.initial_state(TASKS)
    state = {name: tf.constant(np.asarray(value)) for name, value in state.items()}
    for start in starts:
        x = tf.constant(start, "float64")
        loop = tf.zeros((), "int32"), x, tf.zeros_like(x), tf.zeros_like(x), state
        points = [x]
        for _ in range(RECORDS):
            loop = advance(*loop)
            points.append(loop[1])
        yield np.stack(points)


def has_arrived(x):
    """Whether a point is on the Pareto set."""
    return abs(x[1] - FRONT) < 0.1 and abs(x[0]) < 7.1


def is_stuck(x):
    """Whether a point never left the valleys."""
    return float(tf.reduce_mean(objectives(x))) > -5


def methods(factors):
    """Equal weights, FAMO, and the methods by gradients with their defaults."""
    lowest = {task.name: -21.0 * f for task, f in zip(TASKS, factors, strict=True)}
    classes = {name: getattr(balancing, name) for name in balancing.__all__}
    # No classes of methods; GradNorm divides losses by the first ones, which needs
    # losses above 0.
    del classes["State"], classes["GradientBalancing"], classes["GradNorm"]
    return {
        "equal weights": balancing.FixedWeights(),
        "FAMO": balancing.FAMO(gamma=0.0, min_losses=lowest),
    } | {
        name: method()
        for name, method in classes.items()
        if issubclass(method, balancing.GradientBalancing)
    }


def draw(lines, picture):
    """Draws a panel for each method: its paths over contours of the mean objective."""
    columns = 5
    rows = -(-len(lines) // columns)
    figure = Figure(figsize=(2.1 * columns, 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    x1, x2 = np.meshgrid(*[np.linspace(-10, 10, 201)] * 2)
    heights = np.mean(objectives(tf.constant(np.stack([x1, x2], axis=-1))), axis=-1)
    for panel in panels.flat[len(lines) :]:
        panel.set_axis_off()
    for panel, (name, of_method) in zip(panels.flat, lines.items(), strict=False):
        panel.contour(x1, x2, heights, 8, colors="0.85", linewidths=0.8, linestyles="-")
        panel.plot([-7, 7], [FRONT, FRONT], color="0.6", linewidth=5)
        for line in of_method:
            colour = "tab:blue" if has_arrived(line[-1]) else "tab:red"
            panel.plot(*line.T, color=colour, linewidth=1.2)
            panel.plot(*line[0], "o", color="black", markersize=3)
            panel.plot(*line[-1], "*", color=colour, markersize=9)
        panel.set_title(name, fontsize=10)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=90)
    few_colours = Image.open(picture).convert("RGB").quantize(64)
    few_colours.save(picture, optimize=True)  # a quarter of the size


def show(name, ends, factors, seconds):
    """Prints where a method ended from each starting point."""
    cells = []
    for x in ends:
        first, second = (objectives(x) * factors).numpy()
        end = "" if has_arrived(x) else "stuck" if is_stuck(x) else "..."
        cells.append(f"{first:>7.3f} {second:>7.3f} {end:<5}")
    arrived = f"{sum(map(has_arrived, ends))}/{len(ends)}"
    print(
        f"{name:<13}  {'  '.join(cells)}  {arrived:>7}  {seconds:>4.1f} s", flush=True
    )


def main(args):
    print(f"kmtl {kmtl.__version__}, TensorFlow {tf.__version__}")
    for protocol, (starts, factors, steps) in PROTOCOLS.items():
        print(f"\n{protocol}'s protocol, {steps:,} steps: both objectives at the end")
        print(f"{'from':<13}  {'  '.join(f'{s!s:<21}' for s in starts)}  arrived")
        lines = {}
        for name, method in methods(factors).items():
            if args.methods and name not in args.methods:
                continue
            begin = time.perf_counter()
            lines[name] = list(paths(method, starts, factors, steps))
            ends = [line[-1] for line in lines[name]]
            show(name, ends, factors, time.perf_counter() - begin)
    draw(lines, args.picture)
    print(f"\nPaths of {protocol}'s protocol: {args.picture}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these")
    parser.add_argument(
        "--picture", type=Path, default=Path("benchmarks/output/toy.png")
    )
    main(parser.parse_args())
