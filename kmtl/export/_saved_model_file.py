"""Writes signatures as a SavedModel, under the exact names of inputs."""

import collections
import keyword
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

# The published format of the file; TensorFlow's Python interface to it stops short of
# what TensorFlow Serving reads: names of inputs that are no identifiers, and methods.
from tensorflow.core.protobuf import saved_model_pb2

from kmtl._checks import shorten
from kmtl._typing import Tensor
from kmtl.export._signatures import Signature

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def write_saved_model(
    folder: Path, signatures: Sequence[Signature], resources: Sequence[keras.Model]
) -> None:
    """Writes a SavedModel.

    In TensorFlow's Python interface only identifiers can be the names of inputs. So
    others are written as `input_0`, `input_1`, ... and then renamed in the file. A
    server, and Python after loading, takes them by their own names.

    Keras' `ExportArchive` does the same but for the names, and traces every signature
    twice, which takes long with hundreds of tasks.

    Args:
        folder: Where to write; must not exist.
        signatures: What a server can be asked.
        resources: The models whose weights and tables the signatures use.

    Raises:
        OSError: If the disk is full, say.
        ValueError: If a layer is no graph.
    """
    traced = {signature.name: _traced(signature) for signature in signatures}
    root = tf.Module()
    # Not the model: what an optimizer keeps has no place on a server.
    root.weights = list(
        {id(v): v for function in traced.values() for v in function.variables}.values()
    )
    root.tables = _tables(resources)
    try:
        tf.saved_model.save(root, str(folder), traced)
    except tf.errors.OpError as error:
        raise OSError(
            "The export was given up: `folder` must have room for the model, about as "
            f"much as its weights take, twice. Received: {error.message}"
        ) from error
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    _check_is_graph(saved.meta_graphs[0].graph_def)
    _rename(saved.meta_graphs[0], signatures)
    file.write_bytes(saved.SerializeToString())


def _tables(models: Sequence[keras.Model]) -> list[Any]:
    """Returns the tables that layers look words and codes up in, at any depth.

    TensorFlow follows the attributes of layers, but no lists, in which Keras keeps the
    layers of a model.
    """
    kind = tf.saved_model.experimental.TrackableResource
    followed = (keras.layers.Layer, dict, list, tuple, kind)
    found: dict[int, Any] = {}
    left: list[Any] = list(models)
    while left:
        part = left.pop()
        if id(part) in found or not isinstance(part, followed):
            continue
        found[id(part)] = part
        if isinstance(part, keras.layers.Layer):
            left += vars(part).values()
            left += tf.train.TrackableView(part).descendants()
        elif not isinstance(part, kind):
            left += part.values() if isinstance(part, dict) else part
    return [part for part in found.values() if isinstance(part, kind)]


def _traced(signature: Signature) -> Any:
    places = _places(signature)

    @tf.function(autograph=False)
    def run(**inputs: Tensor) -> dict[str, Tensor]:
        return signature.function({places[p]: value for p, value in inputs.items()})

    types = zip(places, signature.inputs.values(), strict=True)
    specs = {
        place: tf.TensorSpec(spec.shape, spec.dtype, name=place)
        for place, spec in types
    }
    return run.get_concrete_function(**specs)


def _places(signature: Signature) -> dict[str, str]:
    """Maps the names under which inputs are written to their own."""
    # TensorFlow tells names in a graph apart without regard to case.
    lower = collections.Counter(key.lower() for key in signature.inputs)
    places: dict[str, str] = {}
    for number, key in enumerate(signature.inputs):
        stays = _is_parameter(key) and lower[key.lower()] == 1
        place = key if stays else f"input_{number}"
        while not stays and place in lower:
            place += "_"
        places[place] = key
    return places


def _is_parameter(key: str) -> bool:
    """Whether TensorFlow keeps a name as it is."""
    is_plain = re.fullmatch("[A-Za-z][A-Za-z0-9_]*", key) is not None
    # `self` is a parameter of the function that traces.
    return is_plain and key != "self" and not keyword.iskeyword(key)


def _check_is_graph(graph: Any) -> None:
    """Raises `ValueError` if a layer calls Python, which a server has not got."""
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    found = [node.name for node in nodes if node.op in _PYTHON]
    if found:
        raise ValueError(
            "The export was given up: layers must be made of TensorFlow's operations. "
            f"Received: {shorten(found)}, which call Python (`tf.numpy_function`, "
            "`tf.py_function`). Use `keras.ops` in their place."
        )


def _rename(graph: Any, signatures: Sequence[Signature]) -> None:
    wrappers = _wrappers(graph.object_graph_def)
    for signature in signatures:
        places = _places(signature)
        definition = graph.signature_def[signature.name]
        definition.method_name = signature.method
        _rename_keys(definition.inputs, places)
        arguments = wrappers[signature.name].argument_keywords
        arguments[:] = [places[place] for place in arguments]


def _rename_keys(inputs: Any, places: Mapping[str, str]) -> None:
    """Renames the keys of a signature definition, all at once: one may be another's."""
    values = {key: inputs[place].SerializeToString() for place, key in places.items()}
    inputs.clear()
    for key, value in values.items():
        inputs[key].ParseFromString(value)


def _wrappers(graph: Any) -> dict[str, Any]:
    """The functions behind the signatures, as Python's loader finds them, by name."""
    roots = {child.local_name: child.node_id for child in graph.nodes[0].children}
    children = graph.nodes[roots["signatures"]].children
    return {
        child.local_name: graph.nodes[child.node_id].bare_concrete_function
        for child in children
    }
