"""Two digits in one image: the top left one is a task, so is the bottom right one.

Trains one convolutional network with two heads and, for comparison, one network a
task. Prints the test accuracies side by side, draws the learning curves, saves the
model, loads it again, exports it for TensorFlow Serving and asks the exported model
about one image.

    python examples/multi_mnist.py
    python examples/multi_mnist.py --mnist ~/.keras/datasets/mnist.npz --images 60000

The digits are described in `data/multi_mnist/README.md`.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from _report import EXPORTS, OUTPUT, print_table, save_curves, serve

import kmtl

DATA = Path(__file__).parent / "data" / "multi_mnist" / "mnist_subset.npz"
METRICS = {"top_left": "accuracy", "bottom_right": "accuracy"}

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--mnist", type=Path, default=DATA, help="Keras' mnist.npz")
parser.add_argument("--images", type=int, default=20_000, help="to train on")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=OUTPUT, help="picture and model")
parser.add_argument("--exports", type=Path, default=EXPORTS, help="exported models")
args = parser.parse_args()


# 1. The data: two different digits, each moved by up to 4 pixels from its corner of a
# 36 x 36 canvas, the brighter pixel wins (Sener & Koltun 2018).
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


rng = np.random.default_rng(args.seed)
with np.load(args.mnist) as mnist:
    # Validation images are made of digits that no training image has.
    cut = len(mnist["x_train"]) * 9 // 10
    held_out = max(args.images // 5, 100)
    x, y = compose(mnist["x_train"][:cut], mnist["y_train"][:cut], args.images, rng)
    valid = compose(mnist["x_train"][cut:], mnist["y_train"][cut:], held_out, rng)
    x_test, y_test = compose(mnist["x_test"], mnist["y_test"], held_out, rng)
print(f"{len(x):,} images to train, {held_out:,} each to validate and to test")

tasks = [kmtl.MulticlassTask(name, classes=10) for name in METRICS]


# 2. Training: a list with one task gives a single-task model of the same form. The
# trunk is flattened, not averaged over the image: the tasks ask where a digit is.
def fit(tasks):
    """Builds, trains and tests one model."""
    keras.utils.set_random_seed(args.seed)
    model = kmtl.build_mtl_model(
        x,
        tasks,
        trunk=kmtl.trunks.CNN([16, 32, 64], pooling="flatten"),
        head_units=(64,),
    )
    names = [task.name for task in tasks]
    history = model.fit(
        x,
        {name: y[name] for name in names},
        validation_data=(valid[0], {name: valid[1][name] for name in names}),
        batch_size=128,
        epochs=args.epochs,
        verbose=2,
    )
    labels = {name: y_test[name] for name in names}
    result = model.evaluate(x_test, labels, return_dict=True, verbose=0)
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
save_curves(history, METRICS, args.output / "multi_mnist.png")

# 4. Save and load.
path = args.output / "multi_mnist.keras"
path.parent.mkdir(parents=True, exist_ok=True)
model.save(path)
loaded = keras.models.load_model(path)
print("\nThe first three test images, as the loaded model sees them:")
for name, probabilities in loaded.predict(x_test[:3], verbose=0).items():
    print(f"  {name}: {probabilities.argmax(-1)}, true {y_test[name][:3]}")

# 5. Export: an image of bytes in, ten probabilities a task out.
version = kmtl.export_saved_model(loaded, args.exports / "multi_mnist")
served = serve(version, {loaded.input.name: x_test[:1]})
print(f"Exported to {version}; served from there:")
for name, output in served.items():
    print(f"  {name}: {output[0].argmax()} with probability {output[0].max():.4f}")
