"""What a client needs of a server, whatever the protocol."""

import abc
from collections.abc import Mapping, Sequence

import numpy as np


class Transport(abc.ABC):
    """Asks one server about one model.

    Args:
        name: What is asked, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abc.abstractmethod
    def states(self) -> dict[int, str]:
        """Returns the state of each version; one that can be asked is `AVAILABLE`."""

    @abc.abstractmethod
    def signatures(self, version: int) -> list[str]:
        """Returns the names of the signatures of a version, sorted."""

    @abc.abstractmethod
    def predict(
        self,
        version: int,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            version: The version to ask.
            signature: The name of the signature.
            inputs: Arrays by the keys of its inputs, `(rows, ...)`, of their dtypes;
                text as UTF-8 bytes.
            outputs: The keys of its outputs.

        Returns:
            Arrays by the keys of the outputs, as the server gives them.

        Raises:
            ConnectionError: If there is no server, or none that understands.
            NotServedError: If it has no such model, or not this version of it.
            TimeoutError: If it does not answer in time.
            ValueError: If it refuses what it is sent.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connection."""
