"""What the examples share: a table, a picture and one request to an exported model."""

from pathlib import Path

import tensorflow as tf

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "examples" / "output"
EXPORTS = ROOT / "saved_models"


def print_table(title, header, rows):
    """Prints rows under a header; numbers get four digits and stand on the right."""
    cells = [[f"{c:.4f}" if isinstance(c, float) else str(c) for c in r] for r in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    print(f"\n{title}")
    for row in [header, ["-" * w for w in widths], *cells]:
        first, *rest = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]))


def save_curves(history, metrics, path):
    """Draws loss and metric by epoch, a column a task; needs the extra `plot`.

    Args:
        history: `History.history` of a fit with validation data.
        metrics: The metric to draw for each task, `{"income": "auc"}`.
        path: The picture to write.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError:
        print("\nNo learning curves: they need matplotlib, pip install 'kmtl[plot]'.")
        return
    figure = Figure(figsize=(4 * len(metrics), 6), layout="constrained")
    grid = figure.subplots(2, len(metrics), squeeze=False, sharex=True)
    for (task, metric), column in zip(metrics.items(), grid.T, strict=True):
        column[0].set_title(task)
        column[1].set_xlabel("epoch")
        column[1].xaxis.get_major_locator().set_params(integer=True)
        for axes, name in zip(column, ["loss", metric], strict=True):
            epochs = range(1, len(history[f"{task}_{name}"]) + 1)
            axes.plot(epochs, history[f"{task}_{name}"], label="training")
            axes.plot(epochs, history[f"val_{task}_{name}"], label="validation")
            axes.set_ylabel(name)
    grid[0, 0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"\nLearning curves: {path}")


def serve(version, columns):
    """Asks an exported model as a server would: it needs TensorFlow only.

    Args:
        version: The folder of one exported version.
        columns: Raw values by input name, each a sequence with one value a row.

    Returns:
        `{task: array (rows, ...)}`.
    """
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    expected = signature.structured_input_signature[1]
    request = {}
    for name, spec in expected.items():
        values = tf.constant(columns[name], dtype=spec.dtype)
        request[name] = tf.reshape(values, [-1, *spec.shape[1:]])
    return {task: output.numpy() for task, output in signature(**request).items()}
