"""Is sharing worth it on real data? `kmtl.compare` on five sets of tasks.

    python benchmarks/is_sharing_worth_it.py --set census
    python benchmarks/is_sharing_worth_it.py --data FOLDER --set tox21 --jobs -1

The multi-task model, by hard sharing, against single-task models of equal width and of
equal parameters: the same rows, batches and early stopping, the learning rate of each
chosen on validation out of `--rates`. With `--results` an interrupted run goes on.

FOLDER holds, but for the census, which comes with the project:

* `school`: `school.npz`, see `benchmarks/school.py`; the largest schools, exam scores.
* `tox21`: `tox21.npz`, see `benchmarks/toxcast.py`; 12 assays, molecules as the 1,024
  bits of 2,048 that are set most often.
* `fdu_mtl`: `train.csv.gz` and `test.csv.gz` with `task`, `label` and `text`: sentiment
  in 16 domains (Liu et al., ACL 2017); TF-IDF of words and pairs in 300 dimensions,
  found on the training texts. A row has a label of one task. One test set.
* `parkinsons`: `parkinsons_updrs.csv.gz`, the UCI set 189 (Tsanas et al., 2009): two
  scores of 42 patients by their voice; a fifth of the patients are the test set.

Without a test set of their own (school, tox21) every seed splits the rows anew, and
intervals allow for that; with one they are about seeds only. Needs the extra `bench`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from _census import read
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

import kmtl

BITS = 1024
DIMENSIONS = 300


def school(folder, count):
    with np.load(folder / "school.npz") as file:
        x, score, school = file["X"], file["y"], file["task"]
    largest = np.argsort(-np.bincount(school), kind="stable")[:count]
    kept = np.isin(school, largest)
    x, score, school = x[kept], score[kept].astype("float32"), school[kept]
    y = {f"school_{i}": np.where(school == i, score, np.nan) for i in sorted(largest)}
    settings = {"trunk": kmtl.trunks.MLP([32]), "batch_size": 64}
    return (x, y), [kmtl.RegressionTask(name) for name in y], settings


def tox21(folder, count):
    with np.load(folder / "tox21.npz") as file:
        bits = np.unpackbits(file["X_packed"], axis=1)
        labels, names = file["y"].astype("float32"), file["tasks"].astype(str)
    often = np.sort(np.argsort(-bits.sum(axis=0, dtype="int64"))[:BITS])
    x = bits[:, often].astype("float32")
    columns = np.where(labels < 0, np.nan, labels).T[:count]
    y = dict(zip(names, columns, strict=False))
    trunk = kmtl.trunks.MLP([128], dropout=0.5)
    settings = {"trunk": trunk, "batch_size": 128}
    return (x, y), [kmtl.BinaryTask(name) for name in y], settings


def fdu_mtl(folder, count):
    frames = [pd.read_csv(folder / f"{part}.csv.gz") for part in ("train", "test")]
    names = sorted(frames[0]["task"].unique())[:count]
    train, test = (frame[frame["task"].isin(names)] for frame in frames)
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=5, sublinear_tf=True)
    fewer = TruncatedSVD(DIMENSIONS, random_state=0)
    inputs = [fewer.fit_transform(words.fit_transform(train["text"].fillna("")))]
    inputs.append(fewer.transform(words.transform(test["text"].fillna(""))))
    scale = inputs[0].std(axis=0)
    parts = [
        (
            (x / scale).astype("float32"),
            kmtl.data.pivot_labels(part[["task", "label"]], task="task", label="label"),
        )
        for x, part in zip(inputs, (train, test), strict=True)
    ]
    tasks = [kmtl.BinaryTask(name, metrics=["accuracy"]) for name in names]
    trunk = kmtl.trunks.MLP([64], dropout=0.5)
    return parts[0], tasks, {"trunk": trunk, "batch_size": 256, "test": parts[1]}


def parkinsons(folder, count):
    frame = pd.read_csv(folder / "parkinsons_updrs.csv.gz").astype({"subject#": str})
    tasks = [kmtl.RegressionTask("motor_UPDRS"), kmtl.RegressionTask("total_UPDRS")]
    parts = kmtl.data.split(frame, tasks, (0.6, 0.2, 0.2), groups="subject#")
    train, valid, test = (part.drop(columns="subject#") for part in parts)
    trunk = kmtl.trunks.MLP([64, 32])
    settings = {"trunk": trunk, "batch_size": 64, "valid": valid, "test": test}
    return train, tasks[:count], settings


def census(folder, count):
    del folder
    train, test = (
        read(file).drop(columns="instance_weight").head(30_000)
        for file in ("census-income.data.xz", "census-income.test.xz")
    )
    tasks = [
        kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
        kmtl.MulticlassTask("marital", label="marital_status"),
        kmtl.MulticlassTask("education"),
    ]
    return train, tasks[:count], {"batch_size": 512, "test": test}


SETS = {made.__name__: made for made in (census, school, tox21, fdu_mtl, parkinsons)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--tasks", type=int, help="only the first (largest) tasks")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, help="a folder to go on from")
    parser.add_argument("--picture", type=Path, help="where to draw the gains")
    args = parser.parse_args()
    train, tasks, settings = SETS[args.set](args.data, args.tasks)
    found = kmtl.compare(
        train,
        tasks,
        **settings,
        seeds=args.seeds,
        epochs=args.epochs,
        learning_rates=args.rates,
        jobs=args.jobs,
        folder=args.results,
    )
    print(f"\npython {' '.join(sys.argv)}\n\n{found}")
    if args.picture is not None:
        found.plot().savefig(args.picture, dpi=120)


if __name__ == "__main__":
    main()
