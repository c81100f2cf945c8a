"""The trained core as an ONNX file, for runtimes without TensorFlow."""

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._checks import import_extra, shorten
from kmtl.export._encoding import encoding
from kmtl.export._metadata import EXTRA
from kmtl.export._verify import TOLERANCE, largest_error
from kmtl.features import TabularFeatures
from kmtl.model import MTLModel

# Two sizes: the file must not hold on to that of the batch.
_BATCHES = (1, 3)
# Where a dimension may have any length.
_LENGTH = 32


def write_onnx(model: MTLModel, folder: Path) -> None:
    """Writes the trained core as ONNX, and how its inputs are made of a table.

    The file `assets.extra/model.onnx` takes what the trained core takes, by name
    (`model.named_inputs`), a batch of any size, and gives one float32 output a task, by
    name. For a model of a table these inputs are encoded arrays;
    `assets.extra/preprocessing.json` tells how to make them. Keras' own exporter writes
    the file, with tf2onnx. Where ONNX Runtime is installed, the file is run and
    compared with Keras, else its form is checked.

    Args:
        model: The model; it must compute in float32.
        folder: The folder of the version.

    Raises:
        ImportError: If `tf2onnx` or `onnx` is not installed.
        ValueError: If the model cannot be written as ONNX: it computes with 16 or 64
            bits, or has an operation that tf2onnx does not know.
        RuntimeError: If the outputs of the file differ from those of Keras by more than
            1e-5, of the largest number if that is above 1.

    Reference:
        https://keras.io/api/models/model_saving_apis/export/ and
        https://github.com/onnx/tensorflow-onnx.
    """
    check_onnx(model)
    extra = folder / EXTRA
    extra.mkdir(exist_ok=True)
    core = _core(model)
    _convert(core, extra / "model.onnx")
    _check(core, model.features, extra / "model.onnx")
    if model.features is not None:
        text = json.dumps(encoding(model.features), indent=2, ensure_ascii=False)
        (extra / "preprocessing.json").write_text(text + "\n", encoding="utf-8")


def check_onnx(model: MTLModel) -> None:
    """Raises unless the packages are installed and the model computes in float32."""
    for package in ("onnx", "tf2onnx"):
        import_extra(package, "onnx")
    _check_float32(model)


def _core(model: MTLModel) -> keras.Model:
    """The model with inputs and outputs by name; Keras names those of the file so."""
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in model.named_inputs.items()
    }
    given = inputs if isinstance(model.input, dict) else next(iter(inputs.values()))
    core = keras.Model(inputs, dict(model(given)))
    core(core.input)  # Keras exports no model that was never called
    return core


def _convert(core: keras.Model, path: Path) -> None:
    _teach_log1p()
    onnx = import_extra("onnx", "onnx")
    errors = (
        ValueError,
        NotImplementedError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    )
    try:
        with warnings.catch_warnings():
            # Keras asks for `np.object`, on behalf of tf2onnx.
            warnings.filterwarnings("ignore", ".*`np.object`", FutureWarning)
            core.export(str(path), format="onnx", verbose=False)
        onnx.checker.check_model(str(path), full_check=True)
        _check_inputs(core, onnx.load(path, load_external_data=False))
    except errors as error:
        raise ValueError(
            "The model cannot be written as ONNX; export it with `onnx=False`. "
            f"Received: {error}"
        ) from error


def _check_inputs(core: keras.Model, written: Any) -> None:
    """Refuses constants that Keras' exporter left outside the file, as inputs."""
    others = [i.name for i in written.graph.input if i.name not in core.input]
    if others:
        raise ValueError(
            f"inputs {shorten(others)}, constants of a layer such as "
            "`keras.layers.Normalization`."
        )


def _teach_log1p() -> None:
    """Teaches tf2onnx the logarithm of 1 + x, which `TabularEmbedding` takes."""
    tf_op = import_extra("tf2onnx.handler", "onnx").tf_op

    class Log1p:
        @classmethod
        def version_1(cls, graph: Any, node: Any, **_: Any) -> None:
            one = graph.make_const(f"{node.name}_one", np.ones((), np.float32))
            total = graph.make_node("Add", [node.input[0], one.output[0]])
            node.type = "Log"
            graph.replace_input(node, node.input[0], total.output[0], 0)

    tf_op("Log1p")(Log1p)


def _check_float32(model: MTLModel) -> None:
    types = {layer.compute_dtype for layer in model.layers}
    others = sorted(t for t in types if "float" in t and t != "float32")
    if others:
        raise ValueError(
            "ONNX needs a model that computes in float32. Received: layers that "
            f"compute in {shorten(others)}. Build the model anew under "
            '`keras.config.set_dtype_policy("float32")`, copy the weights with '
            "`set_weights(model.get_weights())`, and export that."
        )


def _check(core: keras.Model, features: TabularFeatures | None, path: Path) -> None:
    """Runs the file on made-up inputs and compares with Keras."""
    if importlib.util.find_spec("onnxruntime") is None:
        return
    runtime = import_extra("onnxruntime", "onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for rows in _BATCHES:
        inputs = _made_up(core, features, rows)
        with keras.device("cpu"):  # others may round products to fewer digits
            expected = core(inputs, training=False)
        given = dict(zip(names, session.run(names, inputs), strict=True))
        for name, values in expected.items():
            _compare(name, given[name], ops.convert_to_numpy(values))


def _compare(name: str, values: np.ndarray, wanted: np.ndarray) -> None:
    if not largest_error(values, wanted) <= TOLERANCE:  # nor NaN
        raise RuntimeError(
            f"The ONNX file must give what Keras computes for task {name!r}; export "
            f"the model with `onnx=False`. Received: {shorten(values.ravel(), 4)} "
            f"instead of {shorten(wanted.ravel(), 4)}."
        )


def _made_up(
    core: keras.Model, features: TabularFeatures | None, rows: int
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    limits = _limits(features)
    inputs = {}
    for name, spec in core.input.items():
        shape = (rows, *(_LENGTH if n is None else n for n in spec.shape[1:]))
        # Codes may be limited to few values; bytes are pixels.
        high = limits.get(name, 256 if spec.dtype == "uint8" else 2)
        is_float = "float" in spec.dtype
        values: Any = (
            rng.normal(size=shape) if is_float else rng.integers(high, size=shape)
        )
        inputs[name] = values.astype(spec.dtype)
    return inputs


def _limits(features: TabularFeatures | None) -> dict[str, Any]:
    """How many codes each slot of an encoded array has."""
    if features is None:
        return {}
    words = np.array(features.text_sizes, int).reshape(-1, 1)
    return {"categorical": np.array(features.category_sizes), "text": words}
