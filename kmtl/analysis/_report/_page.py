"""`report`: one page about a model, its training and its data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmtl._checks import as_path
from kmtl._version import __version__
from kmtl.analysis._check_model import check_model
from kmtl.analysis._comparison import Comparison
from kmtl.analysis._report._canvas import Canvas
from kmtl.analysis._report._curves import read_history
from kmtl.analysis._report._parts import read_parts
from kmtl.analysis._report._relations import check_findings
from kmtl.analysis._report._results import measure
from kmtl.analysis._report._sections import Evidence, sections
from kmtl.analysis._report._template import load_template
from kmtl.analysis._task_affinity import TaskAffinity
from kmtl.callbacks import GradientConflict
from kmtl.model import MTLModel


def report(  # noqa: PLR0913 - what may be shown, all of it optional
    model: MTLModel,
    history: Any,
    data: Any,
    path: str | Path = "report.html",
    *,
    comparison: Comparison | None = None,
    affinity: TaskAffinity | None = None,
    conflict: GradientConflict | None = None,
    baselines: Mapping[str, float] | None = None,
    title: str = "Multi-task model",
) -> Path:
    """Writes one HTML page about a model, its training and its data.

    The page holds everything inside: no script, and nothing is loaded when it is
    opened. The same input gives the same bytes. It shows what needs attention, the
    metrics of each task beside what predicting the same for everyone gives, learning
    curves, calibration, confusion matrices or errors, a drawing of the network, how
    labels are spread, and how much of the loss and of the gradient each task has.
    Needs the extra `report`.

    Args:
        model: A compiled model.
        history: What `model.fit` returned, its dict, or `None`.
        data: The rows to measure on: a DataFrame with label columns or `(x, y)`. Or
            a dict of those by name in the order of their use, such as
            `{"train": train, "test": test}`: classes are counted in the first, metrics
            measured in the last, labels counted in all.
        path: The file to write; one that is there is replaced.
        comparison: What `kmtl.compare` returned.
        affinity: What `kmtl.analysis.task_affinity` returned.
        conflict: The `kmtl.callbacks.GradientConflict` of the training.
        baselines: Values of metrics to compare with, by the names of the logs, such as
            what `evaluate(return_dict=True)` of single-task models gave.
        title: The title of the page.

    Returns:
        The path of the file.

    Raises:
        ImportError: If jinja2 or matplotlib is not installed.
        TypeError: If an argument is of the wrong kind.
        ValueError: If the model is not compiled, labels are wrong, or a baseline names
            an unknown metric.

    Example:
        >>> import kmtl, numpy as np, tempfile
        >>> model = kmtl.build_mtl_model((4,), [kmtl.BinaryTask("a")])
        >>> x, y = np.ones((8, 4)), {"a": [0, 1, 1, 0, 1, 0, 1, 0]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = kmtl.analysis.report(model, None, (x, y), f"{folder}/a.html")
        ...     page.read_text(encoding="utf-8").startswith("<!doctype html>")
        True
    """
    check_model(model)
    path = as_path(path, "path")
    if not model.compiled:
        raise ValueError("`report` needs a compiled model; call `compile()`.")
    check_findings(comparison, affinity, conflict)
    template, canvas = load_template(), Canvas()  # fails before anything is measured
    curves = read_history(history, model.task_names)
    parts = read_parts(model, data)
    evidence = Evidence(
        model,
        curves,
        parts,
        measure(model, parts[-1], curves, baselines),
        comparison=comparison,
        affinity=affinity,
        conflict=conflict,
    )
    page = template.render(
        title=title, version=__version__, **sections(canvas, evidence)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", newline="\n")
    return path
