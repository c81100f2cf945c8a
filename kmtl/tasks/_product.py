"""A task whose probability is the product of those of others."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from kmtl._checks import check_unique, shorten
from kmtl.tasks._classification import BinaryTask
from kmtl.tasks._task import freeze


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class ProductTask(BinaryTask):
    """A binary task without a head: its probability is a product of probabilities.

    The entire-space model of conversions (ESMM) is three tasks. Clicks and purchases
    are learned on all impressions, the latter as click x conversion; the conversion
    itself has no loss, and is measured on the rows with a click::

        tasks = [
            kmtl.BinaryTask("ctr", label="click"),
            kmtl.BinaryTask("cvr", label="buy", only_if="ctr", loss_weight=0.0),
            kmtl.ProductTask("ctcvr", ["ctr", "cvr"], label="buy"),
        ]

    Unlike in the paper, the product is taken of log-probabilities: its loss and
    gradient are exact however sure the factors are.

    Args:
        name: See `Task`, as for the fields it shares with the other kinds.
        factors: Names of the binary tasks whose probabilities are multiplied.

    Raises:
        ValueError: If a field is not valid on its own or beside another.

    Reference:
        Ma et al., "Entire Space Multi-Task Model: An Effective Approach for Estimating
        Post-Click Conversion Rate", SIGIR 2018, https://arxiv.org/abs/1804.07931.

    Example:
        >>> import kmtl
        >>> ctr, cvr = kmtl.BinaryTask("ctr"), kmtl.BinaryTask("cvr", only_if="ctr")
        >>> both = kmtl.ProductTask("ctcvr", ["ctr", "cvr"])
        >>> model = kmtl.build_mtl_model((8,), [ctr, cvr, both])
        >>> list(model.output)
        ['ctr', 'cvr', 'ctcvr']
    """

    factors: Sequence[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "factors")
        check_unique(self.factors, f"factors of task {self.name!r}")
        if len(self.factors) < 2:
            raise ValueError(
                f"`factors` of ProductTask({self.name!r}) must name at least two "
                f"binary tasks. Received: {shorten(self.factors)}."
            )
        for field in ("head", "head_units", "condition_on"):
            if getattr(self, field) not in (None, ()):
                raise ValueError(
                    f"ProductTask({self.name!r}) has no head of its own, so no "
                    f"`{field}`; give it to its factors. "
                    f"Received: {field}={getattr(self, field)!r}."
                )

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the factors."""
        return tuple(self.factors)
