"""Writes a small export with what it answers, for every later version to agree with.

    python tests/export/make_golden.py saved_models/golden

`saved_models/golden` was written when exports got their first format (`"format": 1` in
their `kmtl.json`). It is never written again: that old exports go on working is what it
shows. When the format changes, run this once with a new folder, such as
`saved_models/golden_2`; `test_golden.py` takes up every folder of that name.
"""

import argparse
import base64
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from exported import model_of, unusual_frame

import kmtl
from kmtl.export._examples import ExampleFormat
from kmtl.export._served import Served
from kmtl.export._session import Session

ROWS = 8
LABELS = ["rich", "predict", "age"]


def make(folder):
    """Trains, exports and asks; writes `golden.json` beside the version."""
    frame = unusual_frame()
    model = model_of(frame)
    model.fit(frame, epochs=3, batch_size=16, verbose=0)
    version = kmtl.export_saved_model(model, folder, representation=True)
    rows = with_surprises(frame.head(ROWS))
    served = Served(model)
    raw = {name: v.numpy() for name, v in model.features.raw_inputs(rows).items()}
    examples = ExampleFormat(served.inputs, served.columns).serialize(raw)
    golden = {
        "frame": plain_frame(rows),
        "requests": {
            "raw": {name: plain(values) for name, values in raw.items()},
            "examples": {"inputs": [as_base64(example) for example in examples]},
            "anything": {"inputs": [0]},
        },
        "signatures": answers(
            version,
            raw=raw,
            examples={"inputs": examples},
            anything={"inputs": np.zeros(1, np.int64)},
        ),
    }
    text = json.dumps(golden, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "golden.json").write_text(text + "\n", encoding="utf-8")


def with_surprises(frame):
    """Changes two rows: nothing is known of one, the other has what is new."""
    frame = frame.astype(object)
    frame.iloc[0, : -len(LABELS)] = None
    frame.loc[1, ["Straße/城", "text", "code"]] = ["Łódź", "unheard of", 999]
    return frame


def answers(version, **requests):
    """What each signature answers, and to which request."""
    known = {}
    with Session(version) as session:
        for name, signature in sorted(session.signatures.items()):
            for kind, request in requests.items():
                if fits(request, signature):
                    answer = session.run(name, request).items()
                    outputs = {key: plain(values) for key, values in sorted(answer)}
                    known[name] = {"request": kind, "outputs": outputs}
    return known


def fits(request, signature):
    """Whether a request has the keys and types that a signature takes."""
    types = {k: tf.as_dtype(v.dtype) for k, v in signature.inputs.items()}
    return types == {k: tf.as_dtype(v.dtype) for k, v in request.items()}


def plain(values):
    """Values as strict JSON keeps them: NaN is null."""
    if values.dtype == object:
        return np.vectorize(bytes.decode, otypes=[object])(values).tolist()
    return np.where(values == values, values, None).tolist()


def as_base64(value):
    """Bytes as TensorFlow Serving's REST API takes them."""
    return {"b64": base64.b64encode(value).decode()}


def plain_frame(frame):
    """The columns as JSON keeps them; dates are ISO 8601."""
    text = frame.to_json(date_format="iso", double_precision=15)
    return {name: list(column.values()) for name, column in json.loads(text).items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="must not exist")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True)
    make(folder)
