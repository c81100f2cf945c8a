"""Asks a small old export again; tells how far the answers are from what they were.

    python tests/export/ask_golden.py saved_models/golden

Needs TensorFlow alone, no kmtl and no Keras: it shows which releases run an export.
"""

import argparse
import base64
import json
from pathlib import Path

import numpy as np
import tensorflow as tf


def read_golden(folder):
    """Reads what was asked and answered, see `make_golden.py`."""
    return json.loads((folder / "golden.json").read_text(encoding="utf-8"))


def array(values, dtype):
    """Values of `golden.json` as an array."""
    if np.dtype(dtype).hasobject:
        return np.vectorize(_as_bytes, otypes=[object])(values)
    return np.array(values, dtype)


def arrays(values, infos):
    """Values of `golden.json` by key, as arrays of the types of a signature."""
    types = {key: tf.as_dtype(info.dtype).as_numpy_dtype for key, info in infos.items()}
    return {key: array(values[key], dtype) for key, dtype in types.items()}


def _as_bytes(value):
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def _difference(values, wanted):
    if wanted.dtype.hasobject:
        return float((values != wanted).any())
    return float(np.abs(values - wanted).max())


def main():
    """Runs every signature by the names in its definition, as a server does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    golden = read_golden(folder)
    print("TensorFlow", tf.__version__)  # noqa: T201 - a script
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / "1"))
        for name, known in golden["signatures"].items():
            signature = loaded.signature_def[name]
            request = golden["requests"][known["request"]]
            given = arrays(request, signature.inputs).items()
            answer = session.run(
                {key: info.name for key, info in signature.outputs.items()},
                {signature.inputs[key].name: values for key, values in given},
            )
            wanted = arrays(known["outputs"], signature.outputs)
            worst = max(_difference(answer[key], wanted[key]) for key in wanted)
            print(f"{name:18} largest difference {worst:.1e}")  # noqa: T201


if __name__ == "__main__":
    main()
