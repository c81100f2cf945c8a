"""The metadata of an export as a page that a person reads."""

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kmtl._typing import Config
from kmtl.export._metadata import EXTRA

_MOST_CLASSES = 20
# A request for the shell; longer rows are described instead.
_MOST_NUMBERS = 64

_BY_NAME, _EXAMPLES = "inputs by name", "`tf.Example`s"
_WHOLE = {
    "serving_default": (_BY_NAME, "the output of every task by name"),
    "labels": (_BY_NAME, "class names with probabilities, best first; numbers"),
    "representation": (_BY_NAME, "what the heads see of a row"),
    "serve_examples": (_EXAMPLES, "the output of every task by name"),
    "describe": ("any integer a row", "inputs and tasks as JSON"),
}
_OF_TASK = {
    "predict_": (_BY_NAME, "the output of this task only"),
    "classify_": (f"{_EXAMPLES}; Classify, MultiInference", "all classes and scores"),
    "regress_": (f"{_EXAMPLES}; Regress, MultiInference", "the number"),
}
_MISSING = {
    "float64": "NaN",
    "string": "the empty string",
    "int64": "-9223372036854775808",
}


def model_card(metadata: Config) -> str:
    """Writes the metadata of a version as Markdown.

    Args:
        metadata: What `kmtl.export._metadata.metadata` gives.

    Returns:
        What the model predicts and takes, how to ask it, what it was made with, and
        which questions about it nobody has answered yet.
    """
    sections = [
        _introduction(metadata),
        "## What it predicts",
        _tasks(metadata),
        "## What it takes",
        _inputs(metadata["inputs"]),
        "## How to ask it",
        _signatures(metadata),
        _request(metadata["inputs"]),
        "## What it was made with",
        _table(["package", "version"], list(metadata["versions"].items())),
        "## What is not stated",
        "Nobody stated to the export what the model is meant for and what not, which "
        "rows it was trained and measured on, for whom it works less well, and who "
        "answers for it. Ask before you rely on it.",
    ]
    return "\n\n".join(sections) + "\n"


def write_model_card(folder: Path, metadata: Config) -> None:
    """Writes the model card of a version as `assets.extra/README.md`."""
    card = model_card(metadata)
    (folder / EXTRA / "README.md").write_text(card, encoding="utf-8")


def _introduction(metadata: Config) -> str:
    tasks, inputs = len(metadata["tasks"]), len(metadata["inputs"])
    return (
        f"# Model card\n\nA Keras model of {_count(tasks, 'task')} and "
        f"{_count(inputs, 'input')}, with {metadata['parameters']:,} parameters, "
        f"exported by kmtl on {metadata['created']}. The same facts for programs are "
        "in `kmtl.json`; `model.keras` is the model to train on."
    )


def _tasks(metadata: Config) -> str:
    metrics, others = _metrics_by_task(metadata)
    rows = [
        [
            _code(task["name"]),
            _code(task["label"]),
            task["kind"].removesuffix("Task").lower(),
            _values(task),
            _shape(task["shape"]),
            _numbers(metrics[task["name"]]),
        ]
        for task in metadata["tasks"]
    ]
    titles = ["task", "label", "kind", "classes or unit", "output a row", "measured"]
    table = _table(titles, rows)
    told = f"\n\nMeasured of the whole model: {_numbers(others)}." if others else ""
    if not metadata["metrics"]:
        told = "\n\nNobody stated to the export how well the model does."
    return f"{table}\n\n{_how_outputs_read(metadata['tasks'])}{told}"


def _how_outputs_read(tasks: Sequence[Config]) -> str:
    meanings = {
        "BinaryTask": "A binary task gives the probability of its second class.",
        "MulticlassTask": "A multiclass task gives one probability a class, in this "
        "order.",
        "RegressionTask": "A regression gives the number in the label's own unit.",
    }
    kinds = {task["kind"] for task in tasks}
    return " ".join(text for kind, text in meanings.items() if kind in kinds)


def _values(task: Config) -> str:
    if task["kind"] == "RegressionTask":
        return "unit not stated" if task["unit"] is None else _code(task["unit"])
    classes = task["classes"] or [False, True]
    more = len(classes) - _MOST_CLASSES
    shown = ", ".join(_code(value) for value in classes[:_MOST_CLASSES])
    return f"{shown}, ... ({more} more)" if more > 0 else shown


def _metrics_by_task(
    metadata: Config,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Sorts `<task>_<metric>` by task; the longest name that fits has it."""
    of_tasks: dict[str, dict[str, Any]] = {t["name"]: {} for t in metadata["tasks"]}
    others = {}
    for name, value in metadata["metrics"].items():
        fitting = [task for task in of_tasks if name.startswith(f"{task}_")]
        if fitting:
            task = max(fitting, key=len)
            of_tasks[task][name.removeprefix(f"{task}_")] = value
        else:
            others[name] = value
    return of_tasks, others


def _numbers(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{_code(name)} {'NaN' if value is None else f'{value:.4g}'}"
        for name, value in metrics.items()
    )


def _inputs(inputs: Sequence[Config]) -> str:
    rows = [
        [
            _code(given["name"]),
            given["dtype"],
            _shape(given["shape"]),
            given["column"]["kind"] if given["column"] else "array",
            _missing(given),
        ]
        for given in inputs
    ]
    titles = ["input", "type", "shape a row", "kind", "a missing value is"]
    dates = [given for given in inputs if (given["column"] or {}).get("kind") == "date"]
    told = "\n\nDates are seconds since 1970-01-01 00:00." if dates else ""
    return _table(titles, rows) + told


def _missing(given: Config) -> str:
    if given["column"] is None:
        return "not known"
    return "-1" if given["column"]["kind"] == "boolean" else _MISSING[given["dtype"]]


def _signatures(metadata: Config) -> str:
    present = metadata["signatures"]
    rows = [[_code(name), *cells] for name, cells in _WHOLE.items() if name in present]
    for prefix, cells in _OF_TASK.items():
        count = sum(f"{prefix}{task['name']}" in present for task in metadata["tasks"])
        if count:
            rows.append([f"`{prefix}<task>`, of {_count(count, 'task')}", *cells])
    return _table(["signature", "takes", "gives"], rows)


def _request(inputs: Sequence[Config]) -> str:
    body = {"signature_name": "serving_default", "instances": [_row(inputs)]}
    url = "http://localhost:8501/v1/models/NAME:predict"
    command = f"curl {url} -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    lists = " Where it says `SHAPE`, nested lists of that shape belong."
    return (
        "Where TensorFlow Serving offers the model as NAME, this asks about one "
        f"made-up row.{lists if 'SHAPE [' in command else ''}\n\n{_block(command)}"
    )


def _row(inputs: Sequence[Config]) -> dict[str, Any]:
    return {given["name"]: _value(given) for given in inputs}


def _value(given: Config) -> Any:
    column = given["column"]
    if column is None:
        return _array(given)
    if "vocabulary" in column:
        return column["vocabulary"][0]
    return 1 if column["kind"] == "boolean" else column["center"]


def _array(given: Config) -> Any:
    shape = [1 if length is None else length for length in given["shape"]]
    if math.prod(shape) > _MOST_NUMBERS:
        return f"SHAPE {shape}"
    value: Any = "" if given["dtype"] == "string" else 0
    for length in reversed(shape):
        value = [value] * length
    return value


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _block(text: str) -> str:
    fence = _fence(text, shortest=3)
    return f"{fence}shell\n{text}\n{fence}"


def _code(value: object) -> str:
    """Shows any text as it is in a cell of a table: pipes and backticks included."""
    text = " ".join(str(value).split()) or repr(value)  # blanks would not show
    text = text.replace("|", "\\|")
    fence = _fence(text, shortest=1)
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def _fence(text: str, *, shortest: int) -> str:
    """Returns more backticks than the text has in a row."""
    count = shortest
    while "`" * count in text:
        count += 1
    return "`" * count


def _shape(shape: Sequence[int | None]) -> str:
    lengths = ["any" if length is None else str(length) for length in shape]
    return " x ".join(lengths) or "1 value"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
