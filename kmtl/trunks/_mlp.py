"""A stack of dense layers."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial

import keras

from kmtl._checks import check_choice, check_flag, check_units
from kmtl._typing import Tensor
from kmtl.trunks import _common as common
from kmtl.trunks._kit import Kit
from kmtl.trunks._trunk import Inputs, Stage, Trunk


@dataclass(frozen=True, slots=True)
class MLP(Trunk):
    """A trunk of dense layers for rows of numbers.

    Each width makes one block: dense, normalisation, activation, dropout; with
    `residual` the input of the block is added to its output.

    Args:
        units: The width of each layer, first to last, such as `[256, 128]`.
        activation: Keras name or function, applied in every block.
        dropout: Share of values dropped after each block, from 0 to below 1.
        normalization: `"batch"`, `"layer"` or `None`, between dense and activation.
        residual: Whether blocks have skip connections. Where the width changes, the
            skipped input goes through a dense projection without bias.
        kernel_initializer: Keras name or initialiser. Each layer draws its own values,
            also from an instance with a seed.
        kernel_regularizer: Keras name or regularizer of every kernel, or `None`.
        name: First part of the layer names, as in `trunk_dense_0`. Two trunks in one
            model need two names.

    Call arguments:
        x: Symbolic tensor of shape `(batch, features)`, or a dict of them, joined in
            the order of the dict. Integers and booleans are taken as numbers.

    Returns:
        Symbolic tensor of shape `(batch, units[-1])`.

    Raises:
        ValueError: If an argument is out of its range, or if `x` is not of rank 2
            with a known number of features.

    Example:
        >>> import keras
        >>> import kmtl
        >>> inputs = {"age": keras.Input((1,)), "city": keras.Input((4,))}
        >>> trunk = kmtl.trunks.MLP([16, 16], normalization="batch", residual=True)
        >>> trunk(inputs).shape
        (None, 16)

    Reference:
        Skip connections: He et al., "Deep Residual Learning for Image Recognition",
        2016, https://arxiv.org/abs/1512.03385. Differs in that the activation comes
        before the sum, so that the skipped path stays linear.
    """

    units: Sequence[int]
    _: KW_ONLY
    activation: common.Activation = "relu"
    dropout: float = 0.0
    normalization: common.Normalization = None
    residual: bool = False
    kernel_initializer: common.Initializer = "glorot_uniform"
    kernel_regularizer: common.Regularizer = None
    name: str = "trunk"

    def __post_init__(self) -> None:
        check_units(self.units, "units")
        object.__setattr__(self, "units", tuple(self.units))
        common.check_widths(tuple(self.units), "units", "MLP([256, 128])")
        common.check_activation(self.activation)
        common.check_dropout(self.dropout)
        check_choice(self.normalization, ("batch", "layer", None), "normalization")
        check_flag(self.residual, "residual")
        common.check_kernel(self.kernel_initializer, self.kernel_regularizer)
        common.check_name(self.name)

    def stages(self, kit: Kit) -> list[Stage]:
        """Returns one stage a width."""
        first, *rest = range(len(self.units))
        return [
            lambda x: self._block(kit, self._join(kit, x), first),
            *(partial(self._block, kit, index=index) for index in rest),
        ]

    def _join(self, kit: Kit, x: Inputs) -> Tensor:
        x = common.only_tensor(x)
        if not isinstance(x, Mapping):
            _check_rows(kit, x, "x")
            return x
        for key, tensor in x.items():
            _check_rows(kit, tensor, f"x[{key!r}]")
        return keras.layers.Concatenate(name=f"{self.name}_concatenate")(
            list(x.values())
        )

    def _block(self, kit: Kit, x: Tensor, index: int) -> Tensor:
        # A bias before batch normalisation is subtracted again with the mean.
        use_bias = self.normalization != "batch"
        y = self._dense(kit, self.units[index], f"dense_{index}", use_bias)(x)
        y = kit.normalize(y, self.normalization, f"{self.name}_norm_{index}")
        y = keras.layers.Activation(
            self.activation, name=f"{self.name}_activation_{index}"
        )(y)
        if self.dropout:
            y = keras.layers.Dropout(self.dropout, name=f"{self.name}_dropout_{index}")(
                y
            )
        return self._skip(kit, x, y, index) if self.residual else y

    def _skip(self, kit: Kit, x: Tensor, y: Tensor, index: int) -> Tensor:
        if x.shape[-1] != y.shape[-1]:
            x = self._dense(kit, y.shape[-1], f"projection_{index}", use_bias=False)(x)
        elif len(x.shape) < len(y.shape):  # one input for a stack of copies
            x = keras.layers.Reshape((1, x.shape[-1]), name=f"{self.name}_one")(x)
        return keras.layers.Add(name=f"{self.name}_add_{index}")([x, y])

    def _dense(
        self, kit: Kit, units: int, role: str, use_bias: bool
    ) -> keras.layers.Layer:
        return kit.dense(
            units,
            use_bias=use_bias,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            name=f"{self.name}_{role}",
        )


def _check_rows(kit: Kit, x: Tensor, subject: str) -> None:
    common.check_symbolic(x, subject)
    if kit.rank(x) == 2 and x.shape[-1] is not None:
        return
    remedy = (
        "Put a `keras.layers.Flatten()` before it, pool it, or take "
        "`kmtl.trunks.CNN` for images."
        if len(x.shape) > 2
        else "Declare the number of features, as in `keras.Input((8,))`."
    )
    raise ValueError(
        f"`{subject}` must have shape (batch, features) for an MLP. "
        f"Received: shape={x.shape}. {remedy}"
    )
