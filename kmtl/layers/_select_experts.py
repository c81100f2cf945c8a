"""The gates of DSelect-k, which end with at most k experts a task."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._checks import (
    check_flag,
    check_positive,
    check_positive_integer,
    check_unique,
    check_weight,
)
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._softmax import softmax
from kmtl.layers._stacked import StackedLayer
from kmtl.layers._weights_view import SharingWeights, named_frame

_TINY = 1e-6  # keeps the logarithm finite; as in the reference implementation


@keras.saving.register_keras_serializable(package="kmtl")
class SelectExperts(StackedLayer, SharingWeights):
    """Gates with at most `k` experts a task, differentiable all the way.

    Each task has `k` selectors and mixes what they select by a softmax. A selector
    holds the number of an expert in binary: a bit is a smooth step `S(z)`, which is
    exactly 0 or 1 beyond `gamma / 2`, and the weight of an expert is the product over
    its bits of `S(z)` or `1 - S(z)`.

    Two penalties are added to the loss (`add_loss`): the entropy of the selectors times
    `entropy`; and where the number of experts is no power of two, for each selector
    `1 / s - 1`, where `s` is the weight that it gives to codes of experts there are.

    Args:
        experts: Names of the experts, two at least.
        tasks: Names of the tasks, one a gate.
        k: Number of selectors of each task.
        gamma: Width of the smooth step.
        entropy: Strength of the entropy penalty.
        per_example: Whether the gates are linear functions of the inputs; else they are
            learned constants.
        **kwargs: `seed`, see `StackedLayer`; the rest is passed to
            `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, features)`. Without `per_example` any tensor
            with as many rows.

    Returns:
        Tensor of shape `(batch, tasks, experts)`.

    Example:
        >>> import kmtl, numpy as np
        >>> names = ["/0", "/1", "/2", "/3"]
        >>> gate = kmtl.layers.SelectExperts(names, tasks=["age", "income"], k=2)
        >>> tuple(gate(np.zeros((5, 8))).shape)
        (5, 2, 4)

    Reference:
        Hazimeh et al., "DSelect-k: Differentiable Selection in the Mixture of Experts
        with Applications to Multi-Task Learning", NeurIPS 2021,
        https://arxiv.org/abs/2106.03760. Initial values and the second penalty are
        those of the authors' code, but for the `- 1`, which makes the penalty 0 where
        it has nothing to correct. Gates by example are penalised by their mean over the
        rows, not by the sum, so that the size of a batch does not count.
    """

    def __init__(
        self,
        experts: Sequence[str],
        *,
        tasks: Sequence[str],
        k: int = 2,
        gamma: float = 1.0,
        entropy: float = 1e-6,
        per_example: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        check_unique(list(experts), "experts")
        check_selection(len(experts), k)
        check_positive(gamma, "gamma")
        check_weight(entropy, "entropy")
        check_flag(per_example, "per_example")
        self.experts = tuple(experts)
        self.k = k
        self.gamma = gamma
        self.entropy = entropy
        self.per_example = per_example
        self._bits = math.ceil(math.log2(len(experts)))

    def build(self, input_shape: Shape) -> None:
        start = self.gamma / 100
        start = keras.initializers.RandomUniform(-start, start)
        # In full precision: the codes start within 1 % of the width of the step.
        full = {"autocast": False}
        bits = (self.k, self._bits)
        self.code = self.add_stack("code", bits, start, **full)
        self.mix = self.add_stack("mix", (self.k,), "random_uniform", **full)
        if self.per_example:
            features = input_shape[-1]
            self.code_kernel = self.add_stack(
                "code_kernel", (features, *bits), start, **full
            )
            self.mix_kernel = self.add_stack(
                "mix_kernel", (features, self.k), "random_uniform", **full
            )

    def call(self, inputs: Tensor) -> Tensor:
        code, mix = self._logits(inputs)
        selected = self._selected(code)
        self.add_loss(self._penalty(selected))
        weights = ops.sum(softmax(mix)[..., None] * selected, axis=-2)
        shape = (ops.shape(inputs)[0], len(self.tasks), len(self.experts))
        return ops.cast(ops.broadcast_to(weights, shape), self.compute_dtype)

    def _logits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the bits `(rows, tasks, k, bits)` and of the mix; or of one row."""
        code, mix = self.code[None], self.mix[None]
        if not self.per_example:
            return code, mix
        inputs = ops.cast(inputs, code.dtype)
        code = code + ops.einsum("bf,tfkc->btkc", inputs, self.code_kernel)
        mix = mix + ops.einsum("bf,tfk->btk", inputs, self.mix_kernel)
        return code, mix

    def _selected(self, code: Tensor) -> Tensor:
        """What each selector gives to each expert, `(rows, tasks, k, experts)`."""
        numbers = np.arange(len(self.experts))[:, None]
        is_one = (numbers >> np.arange(self._bits)) % 2 == 1  # (experts, bits)
        step = smooth_step(code, self.gamma)[..., None, :]
        return ops.prod(ops.where(is_one, step, 1.0 - step), axis=-1)

    def _penalty(self, selected: Tensor) -> Tensor:
        entropy = -ops.sum(selected * ops.log(selected + _TINY), axis=-1)
        penalty = self.entropy * entropy
        if len(self.experts) < 2**self._bits:
            penalty = penalty + 1.0 / ops.sum(selected, axis=-1) - 1.0
        return ops.sum(ops.mean(penalty, axis=0))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], len(self.tasks), len(self.experts))

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        return named_frame(values, self.tasks, self.experts)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "experts": list(self.experts),
            "k": self.k,
            "gamma": self.gamma,
            "entropy": self.entropy,
            "per_example": self.per_example,
        }


def smooth_step(x: Tensor, gamma: float) -> Tensor:
    """Rises from 0 at `-gamma / 2` to 1 at `gamma / 2` as a cubic; flat outside."""
    x = ops.clip(x / gamma, -0.5, 0.5)
    return x * (1.5 - 2.0 * x * x) + 0.5


def check_selection(experts: int, k: int) -> None:
    """Raises `ValueError` unless `k` of so many experts can be selected."""
    check_positive_integer(k, "k")
    if experts < 2 or k > experts:
        raise ValueError(
            "`k` must be at most the number of experts, which must be at least 2. "
            f"Received: k={k}, experts={experts}."
        )
