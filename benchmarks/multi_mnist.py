"""MultiMNIST: every balancing method against equal, tuned and single-task training.

Two digits in one image (Sener and Koltun, NeurIPS 2018), composed as in
`examples/multi_mnist.py`, of the digits that come with the project or of Keras'
mnist.npz (`--mnist`). Two convolutions of stride two (16 and 32 channels) and a layer
of 64 units, a linear head a task, Adam with cosine decay to 0, batches of 128.

Every side chooses its learning rate out of the same three on validation images, one
seed each. "Tuned weights" tries a grid of loss weights in addition, at the rate that is
best for equal weights; each of them is a side of its own, too. "Single task" is a
network of the same form for each task.
Methods have their defaults and take gradients at the representation unless the name
says otherwise. Reported are test accuracies, mean and standard deviation over seeds,
and differences to equal weights by seed, mean and standard error. The images stay the
same; a seed stands for initial weights and the order of batches.

What is measured is kept in the folder `--results`, one file a side, and not measured
again.

    python benchmarks/multi_mnist.py                       # half an hour on one core
    python benchmarks/multi_mnist.py --sides MGDA UPGrad --seeds 2 --epochs 1
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from _study import Study, add_arguments, main
from keras import layers

import kmtl

DATA = Path(__file__).parents[1] / "examples" / "data" / "multi_mnist"
TASKS = {"top_left": "accuracy", "bottom_right": "accuracy"}
RATES = (2.5e-3, 5e-3, 1e-2)
WEIGHTS = [(0.5, 1.5), (0.75, 1.25), (1.25, 0.75), (1.5, 0.5)]
BATCH = 128
HELD_OUT = {"valid": 3_000, "test": 5_000}


def compose(digits, names, count, rng):
    """Draws `count` images of two digits, uint8 `(count, 36, 36, 1)`, and labels."""
    top_left = rng.integers(len(digits), size=count)
    bottom_right = rng.integers(len(digits), size=count)
    while (same := names[top_left] == names[bottom_right]).any():
        bottom_right[same] = rng.integers(len(digits), size=same.sum())
    images = np.zeros((count, 36, 36, 1), "uint8")
    for image, first, second in zip(images, top_left, bottom_right, strict=True):
        for digit, (row, column) in [
            (digits[first], rng.integers(0, 5, size=2)),
            (digits[second], rng.integers(4, 9, size=2)),
        ]:
            place = image[row : row + 28, column : column + 28, 0]
            np.maximum(place, digit, out=place)
    return images, {"top_left": names[top_left], "bottom_right": names[bottom_right]}


def read(file, images):
    """Composes the parts; validation images are of digits that no other part has."""
    rng = np.random.default_rng(0)
    with np.load(file) as mnist:
        x, y = mnist["x_train"], mnist["y_train"]
        cut = len(x) * 9 // 10
        return {
            "train": compose(x[:cut], y[:cut], images, rng),
            "valid": compose(x[cut:], y[cut:], HELD_OUT["valid"], rng),
            "test": compose(mnist["x_test"], mnist["y_test"], HELD_OUT["test"], rng),
        }


def build(names, **settings):
    return kmtl.build_mtl_model(
        keras.Input((36, 36, 1), dtype="uint8"),
        [kmtl.MulticlassTask(name, classes=10) for name in names],
        trunk=[
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ],
        **settings,
    )


def make_study(args):
    parts = read(args.mnist, args.rows)
    return Study(TASKS, build, parts, RATES, WEIGHTS, BATCH, args.epochs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, default=DATA / "mnist_subset.npz")
    parser.add_argument("--rows", type=int, default=8_000, help="images to train on")
    parser.add_argument("--epochs", type=int, default=5)
    add_arguments(parser, WEIGHTS, "benchmarks/output/multi_mnist")
    main(parser.parse_args(), TASKS, WEIGHTS, make_study)
