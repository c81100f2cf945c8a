"""Makes one kind of function of everything that may serve as a trunk."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import Tensor
from kmtl.trunks._common import only_tensor

Inputs: TypeAlias = Tensor | Mapping[str, Tensor]
Trunk: TypeAlias = Callable[[Inputs], Tensor]

_ACCEPTED = (
    "a trunk such as `kmtl.trunks.MLP([128, 64])`, a keras.Model, a Keras layer, a "
    "list of layers, or a function of symbolic tensors"
)


def as_trunk(trunk: Any, *, subject: str = "trunk") -> Trunk:
    """Returns a function from symbolic inputs to one symbolic tensor.

    Args:
        trunk: One of

            * `kmtl.trunks.MLP`, `kmtl.trunks.CNN`, or any function of symbolic tensors;
            * a `keras.Model`, trained or not, one of `keras.applications` included
              (with `include_top=False`; the scaling of its images is left to you). A
              model with several inputs gets each tensor by the name of its
              `keras.Input`;
            * a Keras layer;
            * a list of these, applied in turn.
        subject: What errors call it.

    Returns:
        A function of a symbolic tensor, or of a dict of them by input name, which
        returns one symbolic tensor. It raises `ValueError` if names, shapes or dtypes
        are not those of the model's inputs, or if the trunk returns anything but one
        symbolic tensor.

    Raises:
        ValueError: If `trunk` can be none of these: a class, a string, a number, an
            empty list.

    Example:
        >>> import keras
        >>> import kmtl
        >>> layers = [keras.layers.Flatten(), keras.layers.Dense(16)]
        >>> kmtl.trunks.as_trunk(layers)(keras.Input((4, 4))).shape
        (None, 16)
    """
    step = _as_step(trunk, subject)

    def apply(x: Inputs) -> Tensor:
        output = step(x)
        _check_output(output, subject)
        return output

    return apply


def _as_step(trunk: Any, subject: str) -> Trunk:
    if inspect.isclass(trunk):
        raise ValueError(
            f"`{subject}` must be an object, not a class. Received: {trunk.__name__}. "
            f"Create one: `{trunk.__name__}(...)`."
        )
    if isinstance(trunk, (list, tuple)):
        return _in_turn(trunk, subject)
    if isinstance(trunk, keras.Model):
        return _model_step(trunk, subject)
    if isinstance(trunk, keras.layers.Layer):
        return lambda x: trunk(only_tensor(x))
    if callable(trunk):
        return trunk
    raise ValueError(f"`{subject}` must be {_ACCEPTED}. Received: {trunk!r}.")


def _in_turn(trunks: Sequence[Any], subject: str) -> Trunk:
    if not trunks:
        raise ValueError(
            f"`{subject}` must be a list of at least one layer. Received: {trunks!r}."
        )
    steps = [as_trunk(t, subject=f"{subject}[{i}]") for i, t in enumerate(trunks)]

    def apply(x: Inputs) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return apply


def _model_step(model: keras.Model, subject: str) -> Trunk:
    subject = f"`{subject}` (model {model.name!r})"

    def apply(x: Inputs) -> Tensor:
        declared = _declared_inputs(model)
        if declared is None:
            return model(only_tensor(x))
        tensors = _in_order(x, declared, subject)
        return model(_pack(model, tensors))

    return apply


def _declared_inputs(model: keras.Model) -> list[Tensor] | None:
    try:
        return list(model.inputs)
    except AttributeError:  # subclassed, or a Sequential not built: it declares none
        return None


def _pack(model: keras.Model, tensors: list[Tensor]) -> Any:
    """Gives tensors the structure that the model was made with (list, dict, one)."""
    if isinstance(model, keras.Sequential):  # has no structure before its first call
        return tensors[0]
    return keras.tree.pack_sequence_as(model.input, tensors)


def _in_order(x: Inputs, declared: list[Tensor], subject: str) -> list[Tensor]:
    """Returns the tensors of `x` in the order of the model's inputs."""
    if len(declared) == 1 and not isinstance(only_tensor(x), Mapping):
        tensors = [only_tensor(x)]
    else:
        names = [tensor.name for tensor in declared]
        _check_names(x, names, subject)
        tensors = [x[name] for name in names]
    for tensor, wanted in zip(tensors, declared, strict=True):
        _check_fits(tensor, wanted, subject)
    return tensors


def _check_names(x: Inputs, names: list[str], subject: str) -> None:
    if not isinstance(x, Mapping):
        raise ValueError(
            f"{subject} takes the inputs {shorten(names)}. Received: one tensor "
            "without a name. Pass a dict of inputs with these names."
        )
    unknown = [key for key in x if key not in names]
    if unknown or len(x) < len(names):
        hint = did_you_mean(unknown[0], names) if unknown else ""
        raise ValueError(
            f"{subject} must take every input by its name. Inputs of the model: "
            f"{shorten(names)}. Received: {shorten(x)}.{hint} Rename its `keras.Input` "
            "layers, or leave out the inputs it does not take."
        )


def _check_fits(tensor: Tensor, wanted: Tensor, subject: str) -> None:
    # Keras itself lets a last axis of 1 pass, and fails on the first batch; and it
    # rounds floats down where the model declares integers.
    same_shape = len(tensor.shape) == len(wanted.shape) and all(
        None in pair or pair[0] == pair[1]
        for pair in zip(tensor.shape, wanted.shape, strict=True)
    )
    is_float = keras.backend.is_float_dtype
    if not same_shape or (is_float(tensor.dtype) and not is_float(wanted.dtype)):
        raise ValueError(
            f"{subject} must get its input {wanted.name!r} as {wanted.dtype} of shape "
            f"{wanted.shape}. Received: {tensor.dtype} of shape {tensor.shape}."
        )


def _check_output(output: Any, subject: str) -> None:
    if isinstance(output, keras.KerasTensor):
        return
    if isinstance(output, Mapping):
        received = f"a dict with {shorten(output)}"
    elif isinstance(output, (list, tuple)):
        received = f"a {type(output).__name__} of {len(output)}"
    else:
        received = f"{type(output).__name__}"
    raise ValueError(
        f"`{subject}` must return one symbolic Keras tensor. Received: {received}. "
        "Choose one output, or join several with `keras.layers.Concatenate()`; a "
        "function must use Keras layers or `keras.ops` and return the result."
    )
