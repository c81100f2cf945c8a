"""Writes what `serving.py` serves; runs in a process of its own, which has TensorFlow.

python benchmarks/_serving_models.py FOLDER MANY TASKS...
"""

import json
import sys
import time
from pathlib import Path

import _census
from _array_files import save_arrays

import kmtl

ROWS = 256


def build(features, tasks):
    """The network of `examples/census_income.py`. Its weights do not matter here."""
    return kmtl.build_mtl_model(
        features,
        [kmtl.BinaryTask(f"task{t}") for t in range(tasks)],
        trunk=kmtl.trunks.MLP([256, 128], dropout=0.1),
        head_units=(32,),
    )


def time_many(features, tasks, folder):
    """Exports a model of many tasks and loads it again; returns the seconds."""
    model = build(features, tasks)
    start = time.perf_counter()
    kmtl.export_saved_model(model, folder)
    exported = time.perf_counter()
    kmtl.load(folder)
    return {"export": exported - start, "load": time.perf_counter() - exported}


def main(folder, many, *numbers):
    frame = _census.read("census-income.data.xz")
    features = kmtl.TabularFeatures.from_frame(frame, exclude=_census.LEFT_OUT)
    for tasks in {1, *map(int, numbers)}:
        model = build(features, tasks)
        kmtl.export_saved_model(model, folder / str(tasks), task_signatures=["task0"])
    preprocessing = folder / "preprocessing" / "1"
    features.preprocessing_model().export(preprocessing, verbose=False)
    raw = features.raw_inputs(frame.sample(ROWS, random_state=0))
    rows = {name: values.numpy() for name, values in raw.items()}
    save_arrays(folder / "rows.npz", rows)
    seconds = time_many(features, int(many), folder / "many")
    print(json.dumps({"version": kmtl.__version__, **seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
