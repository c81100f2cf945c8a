"""Makes one kind of function of everything that may serve as a trunk."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import Tensor
from kmtl.trunks._common import only_tensor
from kmtl.trunks._kit import Kit
from kmtl.trunks._trunk import Inputs, Stage, Trunk

_ACCEPTED = (
    "a trunk such as `kmtl.trunks.MLP([128, 64])`, a keras.Model, a Keras layer, a "
    "list of layers, or a function of symbolic tensors"
)


def as_trunk(trunk: Any, *, subject: str = "trunk") -> Trunk:
    """Returns a trunk: a function from symbolic inputs to one symbolic tensor.

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
    if isinstance(trunk, Trunk):
        return trunk
    if isinstance(trunk, (list, tuple)):
        return _Chain(trunk, subject)
    return _OneStage(_as_step(trunk, subject), subject)


class _Chain(Trunk):
    """Trunks applied in turn; its stages are theirs."""

    def __init__(self, trunks: Sequence[Any], subject: str) -> None:
        if not trunks:
            raise ValueError(
                f"`{subject}` must be a list of at least one layer. "
                f"Received: {trunks!r}."
            )
        self._trunks = [
            as_trunk(t, subject=f"{subject}[{i}]") for i, t in enumerate(trunks)
        ]

    def stages(self, kit: Kit) -> list[Stage]:
        """Returns the stages of all members; all but the last one pool their maps."""
        kits = [kit, *[kit.after_first()] * (len(self._trunks) - 1)]
        stages: list[Stage] = []
        for trunk, own in zip(self._trunks, kits, strict=True):
            stages += trunk.stages(own)
            if trunk is not self._trunks[-1]:
                stages.append(_finished(trunk, own, stages.pop()))
        return stages

    def finish(self, kit: Kit, x: Tensor) -> Tensor:
        return self._trunks[-1].finish(kit, x)


def _finished(trunk: Trunk, kit: Kit, stage: Stage) -> Stage:
    return lambda x: trunk.finish(kit, stage(x))


class _OneStage(Trunk):
    """A function of symbolic tensors as a trunk."""

    def __init__(self, step: Stage, subject: str) -> None:
        self._step = step
        self._subject = subject
        self._name = re.sub("[^A-Za-z0-9]+", "_", subject).strip("_")

    def stages(self, kit: Kit) -> list[Stage]:
        return [lambda x: kit.run(self._checked, x, self._name)]

    def _checked(self, x: Inputs) -> Tensor:
        output = self._step(x)
        _check_output(output, self._subject)
        return output


def _as_step(trunk: Any, subject: str) -> Stage:
    if inspect.isclass(trunk):
        raise ValueError(
            f"`{subject}` must be an object, not a class. Received: {trunk.__name__}. "
            f"Create one: `{trunk.__name__}(...)`."
        )
    if isinstance(trunk, keras.Model):
        return _model_step(trunk, subject)
    if isinstance(trunk, keras.layers.Layer):
        return lambda x: trunk(only_tensor(x))
    if callable(trunk):
        return trunk
    raise ValueError(f"`{subject}` must be {_ACCEPTED}. Received: {trunk!r}.")


def _model_step(model: keras.Model, subject: str) -> Stage:
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
