"""An exported version, loaded and run as a server does it."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tensorflow as tf


class Session:
    """Runs the signatures of an exported version by the names in its file.

    It goes the way of TensorFlow's C++ loader, and so of TensorFlow Serving: the graph
    with the tag `serve`, its initialisers, and tensors by the names that the signature
    definitions give. What is wrong in those names shows here and not in
    `tf.saved_model.load`, which goes by Python objects.

    Args:
        version: The folder of one version.

    Attributes:
        signatures: The signature definitions by name.
    """

    def __init__(self, version: Path) -> None:
        # Graphics cards round products in other ways, and may be in use.
        config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        with _no_warning():
            loaded = tf.compat.v1.saved_model.load(
                self._session, ["serve"], str(version)
            )
        self.signatures = dict(loaded.signature_def)

    def run(self, name: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Runs one signature.

        Args:
            name: Name of the signature.
            inputs: Arrays by the keys of its inputs.

        Returns:
            Arrays by the keys of its outputs; strings are objects of type `bytes`.
        """
        return self.run_all({name: inputs})[name]

    def run_all(
        self, requests: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, np.ndarray]]:
        """Runs several signatures at once.

        TensorFlow prepares its graph anew for every other set of tensors, which takes
        longer than to run it: one by one, dozens of signatures take ten times as long.

        Args:
            requests: By name of the signature its inputs, as for `run`.

        Returns:
            By name of the signature its outputs, as of `run`.
        """
        fed: dict[str, Any] = {}
        fetched: dict[str, dict[str, str]] = {}
        for name, inputs in requests.items():
            keys = self.signatures[name]
            fed |= {keys.inputs[key].name: value for key, value in inputs.items()}
            fetched[name] = {key: info.name for key, info in keys.outputs.items()}
        return self._session.run(fetched, fed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()


@contextlib.contextmanager
def _no_warning() -> Iterator[None]:
    """TensorFlow logs that its loader for sessions is old; servers still go its way."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
