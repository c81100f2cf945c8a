"""How a server may join requests to one version into batches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kmtl._checks import (
    as_tuple,
    check_count,
    check_flag,
    check_known_keys,
    check_mapping,
    check_positive_integer,
)

FILE = "batching_params.pbtxt"

_NUMBERS = (
    "max_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "max_execution_batch_size",
)
_FLAGS = ("enable_large_batch_splitting", "pad_variable_length_inputs")
_KEYS = (*_NUMBERS, *_FLAGS, "allowed_batch_sizes")
# Threads are one pool for all models of a server.
_OF_SERVER = ("num_batch_threads", "thread_pool_name")


def write_batching(folder: Path, batching: Mapping[str, Any]) -> None:
    """Writes the batching parameters of a version, `batching_params.pbtxt`.

    A server reads them under `--enable_batching
    --enable_per_model_batching_parameters`; without the second flag it has one set of
    parameters for all models.

    Args:
        folder: The folder of the version.
        batching: Parameters by name. `max_batch_size` (rows) is required;
            `batch_timeout_micros` says how long a request may wait for others, and
            `max_enqueued_batches` how many batches may wait. `allowed_batch_sizes`, an
            increasing list that ends with `max_batch_size`, has batches padded to one
            of these sizes. With `enable_large_batch_splitting` a batch runs in parts of
            at most `max_execution_batch_size` rows. `pad_variable_length_inputs` pads
            inputs of any length with zeros.

    Raises:
        TypeError: If `batching` is no mapping.
        ValueError: If a parameter is unknown or has a value that a server refuses.

    Reference:
        `BatchingParameters` in `session_bundle_config.proto`, `bundle_factory_util.cc`
        and `main.cc` of https://github.com/tensorflow/serving.
    """
    check_batching(batching)
    lines = [line for key in _KEYS if key in batching for line in _lines(key, batching)]
    (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def check_batching(batching: Mapping[str, Any]) -> None:
    """Raises unless a server would take the parameters; see `write_batching`."""
    check_mapping(batching, "batching", "batching parameters by name")
    for key in _OF_SERVER:
        if key in batching:
            raise ValueError(
                f"`batching` is of one model, and {key!r} of the whole server: put it "
                "into the file of the flag --batching_parameters_file. "
                f"Received: {batching[key]!r}."
            )
    check_known_keys(batching, _KEYS, "batching", "parameter")
    if "max_batch_size" not in batching:
        raise ValueError(
            "`batching` must have max_batch_size, the most rows of a batch. Received: "
            f"{dict(batching)!r}."
        )
    _check_values(batching)
    _check_sizes(batching)


def _check_values(batching: Mapping[str, Any]) -> None:
    for key in _NUMBERS:
        if key in batching:
            may_be_zero = key == "batch_timeout_micros"
            check = check_count if may_be_zero else check_positive_integer
            check(batching[key], f"batching[{key!r}]")
    for key in _FLAGS:
        if key in batching:
            check_flag(batching[key], f"batching[{key!r}]")


def _check_sizes(batching: Mapping[str, Any]) -> None:
    largest = batching["max_batch_size"]
    subject = "batching['allowed_batch_sizes']"
    sizes = as_tuple(batching.get("allowed_batch_sizes", ()), subject)
    for size in sizes:
        check_positive_integer(size, subject)
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != largest):
        raise ValueError(
            "`batching['allowed_batch_sizes']` must increase and end with "
            f"max_batch_size, {largest}. Received: {list(sizes)}."
        )
    if batching.get("max_execution_batch_size", largest) > largest:
        raise ValueError(
            "`batching['max_execution_batch_size']` must be at most max_batch_size, "
            f"{largest}. Received: {batching['max_execution_batch_size']!r}."
        )


def _lines(key: str, batching: Mapping[str, Any]) -> Sequence[str]:
    """One parameter as the text form of its protocol buffer."""
    value = batching[key]
    if key == "allowed_batch_sizes":
        return [f"{key}: {size}" for size in value]
    if key == "pad_variable_length_inputs":
        return [f"{key}: {str(value).lower()}"]
    # All others may be absent, so they are wrapped.
    return [f"{key} {{ value: {str(value).lower()} }}"]
