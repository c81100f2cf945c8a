"""Census-Income for the benchmarks: the protocol's data, and one kmtl model on them."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import kmtl

DATA = Path(__file__).parents[1] / "examples" / "data" / "census_income"
CODES = [
    "industry_code",
    "occupation_code",
    "own_business_or_self_employed",
    "veterans_benefits",
    "year",
]
LEFT_OUT = ["income_50k", "marital_status", "education", "instance_weight"]
TASKS = {"income": "income_50k", "married": "marital_status"}
POSITIVE = {"income": "50000+.", "married": "Never married"}
BATCH = 512


def read(file):
    names = (DATA / "columns.txt").read_text().split()
    frame = pd.read_csv(DATA / file, names=names, skipinitialspace=True)
    return frame.astype(dict.fromkeys(CODES, "str"))


def truth(frame, task):
    return (frame[TASKS[task]] == POSITIVE[task]).to_numpy()


class Data:
    """The frames, and their columns prepared by hand for plain Keras and the trees."""

    def __init__(self):
        self.train, held_out = (
            read("census-income.data.xz"),
            read("census-income.test.xz"),
        )
        order = np.random.default_rng(0).permutation(len(held_out))
        half = len(held_out) // 2
        self.valid, self.test = held_out.iloc[order[:half]], held_out.iloc[order[half:]]
        self.columns = [c for c in self.train if c not in LEFT_OUT]
        self.numbers = [
            c for c in self.columns if pd.api.types.is_numeric_dtype(self.train[c])
        ]
        self.texts = [c for c in self.columns if c not in self.numbers]
        self.vocabularies = {
            c: sorted(self.train[c].fillna("").unique()) for c in self.texts
        }
        self.prepared = {
            part: self.prepare(getattr(self, part))
            for part in ("train", "valid", "test")
        }
        exclude = [c for c in LEFT_OUT if c in self.train]
        self.features = kmtl.TabularFeatures.from_frame(self.train, exclude=exclude)
        self.encoded = {
            part: self.features.encode(getattr(self, part))
            for part in ("train", "valid", "test")
        }

    def prepare(self, frame):
        mean, spread = self.train[self.numbers].mean(), self.train[self.numbers].std()
        codes = [
            pd.Index(self.vocabularies[c]).get_indexer(frame[c].fillna("")) + 1
            for c in self.texts
        ]
        numbers = ((frame[self.numbers] - mean) / spread).to_numpy("float32")
        return {"numbers": numbers, "codes": np.stack(codes, 1).astype("int32")}


def optimizer(rate, rows, epochs):
    steps = -(-rows // BATCH) * epochs
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))


def best_epoch(monitor):
    """Keeps the weights of the best epoch."""
    return keras.callbacks.EarlyStopping(
        monitor, mode="max", patience=1000, restore_best_weights=True
    )


def fit_kmtl(data, tasks, setting, seed, epochs, *, units=(256, 128), sharing=None):
    """Trains one model; returns it and the inputs it takes, by part of the data."""
    rate, dropout = setting
    keras.utils.set_random_seed(seed)
    specs = [
        kmtl.BinaryTask(name, label=TASKS[name], positive=POSITIVE[name])
        for name in tasks
    ]
    model = kmtl.build_mtl_model(
        data.features,
        specs,
        trunk=kmtl.trunks.MLP(units, dropout=dropout),
        sharing=sharing,
        optimizer=optimizer(rate, len(data.train), epochs),
    )
    model.fit(
        data.encoded["train"],
        {name: data.train[TASKS[name]] for name in tasks},
        validation_data=(
            data.encoded["valid"],
            {name: data.valid[TASKS[name]] for name in tasks},
        ),
        batch_size=BATCH,
        validation_batch_size=8192,
        epochs=epochs,
        verbose=0,
        callbacks=[best_epoch(f"val_{tasks[0]}_auc")],
    )
    return model, data.encoded


def aucs(model, inputs, frame, tasks):
    predicted = model.predict(inputs, batch_size=8192, verbose=0)
    return {t: roc_auc_score(truth(frame, t), predicted[t][:, 0]) for t in tasks}
