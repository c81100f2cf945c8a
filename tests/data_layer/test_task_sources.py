"""`sample_tasks` on tables in files, and every row once in `evaluate`."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl
from kmtl._prepare import prepare_sampler
from kmtl.data import Epoch, rows_by_task, sample_tasks

SIZES = {"a": 23, "b": 7, "c": 3}
TASKS = [
    kmtl.BinaryTask("a", metrics=["accuracy", "auc"]),
    kmtl.RegressionTask("b"),
    kmtl.MulticlassTask("c"),
]
LABELS = {"a": [0, 1], "b": [1.0, 7.0, 2.0], "c": ["no", "yes"]}
OPTIONS = {"batch_size": 5, "seed": 3}


def rows(task):
    """A frame whose columns tell the task and the row."""
    count = SIZES[task]
    columns = {"kind": task, "row": np.arange(count), "weight": np.arange(count) + 1}
    return pd.DataFrame({**columns, task: np.resize(LABELS[task], count)})


FRAMES = {task: rows(task) for task in SIZES}
WIDE = pd.concat(FRAMES.values(), ignore_index=True)
FEATURES = kmtl.TabularFeatures.from_frame(WIDE, exclude=["weight", *SIZES])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tables")
    for task, frame in FRAMES.items():
        frame.to_parquet(made / f"{task}.parquet", row_group_size=4)
        frame.to_csv(made / f"{task}.csv", index=False)
    return made


def sources(folder, **options):
    """Parquet for one task, CSV for the others, in frames of 4 rows."""
    options = {"chunk_rows": 4, "buffer_rows": 6, **options}
    return {
        "a": kmtl.data.read_parquet(folder / "a.parquet", **options),
        "b": kmtl.data.read_csv(folder / "b.csv", **options),
        "c": kmtl.data.read_csv(folder / "c.csv", **options),
    }


def datasets():
    """Columns as they are served, in batches."""
    types = {"kind": "str", "row": "float64"}
    columns = {task: dict(frame[list(types)]) for task, frame in FRAMES.items()}
    return {
        task: tf.data.Dataset.from_tensor_slices(
            ({n: c[n].to_numpy(types[n]) for n in types}, FRAMES[task][task].to_numpy())
        ).batch(4)
        for task, c in columns.items()
    }


def build():
    keras.utils.set_random_seed(0)
    trunk = kmtl.trunks.MLP([4])
    built = kmtl.build_mtl_model(WIDE, TASKS, features=FEATURES, trunk=trunk)
    built.compile(run_eagerly=True)
    return built


@pytest.fixture(scope="module")
def model():
    return build()


def read(model, sampler, epochs=(0,), **options):
    """The batches of some epochs."""
    epoch = Epoch()
    dataset = prepare_sampler(model, sampler, epoch, **options)
    found = []
    for epoch.number in epochs:
        found += list(dataset.as_numpy_iterator())
    return found


def rows_of(batches):
    """The task and the row of each row, found by its encoded inputs."""
    encoded = FEATURES.encode(WIDE)
    keys = [tuple(row) for row in np.column_stack([*_flat(encoded)])]
    assert len(set(keys)) == len(keys)
    place = {key: i for i, key in enumerate(keys)}
    batched = (np.column_stack([*_flat(x)]) for x, _ in batches)
    found = [place[tuple(row)] for batch in batched for row in batch]
    return WIDE.loc[found, ["kind", "row"]].reset_index(drop=True)


def _flat(inputs):
    return (inputs[name].reshape(len(inputs[name]), -1) for name in sorted(inputs))


@pytest.mark.parametrize("mixed", [True, False])
def test_tasks_come_as_they_do_from_frames(model, folder, mixed):
    frames, files = (
        sample_tasks(data, "sqrt", mixed=mixed, **OPTIONS)
        for data in (FRAMES, sources(folder))
    )
    pd.testing.assert_frame_equal(files.table(1), frames.table(1))
    found = rows_of(read(model, files, [0, 1]))
    expected = [*frames.draws(0)["task"], *frames.draws(1)["task"]]
    assert found["kind"].tolist() == expected


def test_each_pass_over_a_file_holds_every_row_in_an_order_of_its_own(model, folder):
    sampler = sample_tasks(sources(folder), "uniform", **OPTIONS)
    found = rows_of(read(model, sampler, range(4)))
    passes = found.loc[found["kind"] == "b", "row"].to_numpy()[:35].reshape(-1, 7)
    np.testing.assert_array_equal(np.sort(passes), np.tile(np.arange(7), (5, 1)))
    assert len(np.unique(passes, axis=0)) > 2


@pytest.mark.parametrize("mixed", [True, False])
def test_a_run_goes_on_where_it_was(model, folder, mixed):
    sampler = sample_tasks(sources(folder), "sqrt", mixed=mixed, **OPTIONS)
    through = read(model, sampler, range(4))[-sampler.steps :]
    again = sample_tasks(sources(folder), "sqrt", mixed=mixed, **OPTIONS).skip(2)
    rest = read(model, again, [3])
    tf.nest.map_structure(np.testing.assert_array_equal, rest, through[2:])


def test_labels_and_weights_are_those_of_the_row(model, folder):
    sampler = sample_tasks(sources(folder), **OPTIONS)
    weights = {"sample_weight": {"a": "weight"}, "class_weight": {"c": {"yes": 3}}}
    batches = read(model, sampler, **weights)
    found = rows_of(batches)
    packed = {
        key: np.concatenate([np.concatenate(y[key], axis=1) for _, y in batches])
        for key in ("labels", "weights", "class_weights")
    }
    own = np.array([[kind == task for task in SIZES] for kind in found["kind"]])
    np.testing.assert_array_equal(~np.isnan(packed["labels"]), own)
    of_a = own & (found["kind"] == "a").to_numpy()[:, None]
    expected = np.where(of_a, found["row"].to_numpy()[:, None] + 1, 1)
    np.testing.assert_array_equal(packed["weights"], expected)
    is_yes = (
        own & ((found["kind"] == "c") & (found["row"] % 2 == 1)).to_numpy()[:, None]
    )
    np.testing.assert_array_equal(packed["class_weights"], np.where(is_yes, 3, 1))


@pytest.fixture(scope="module")
def expected(model):
    return model.evaluate(WIDE, verbose=0, return_dict=True)


@pytest.mark.parametrize("kind", ["frames", "datasets", "files"])
def test_evaluating_reads_every_row_once(model, folder, expected, kind):
    data = {"frames": FRAMES, "datasets": datasets(), "files": sources(folder)}[kind]
    sampler = sample_tasks(data, "uniform", mixed=False, batch_size=12)
    logs = model.evaluate(sampler, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-5)


def test_rows_come_in_their_order_in_evaluation(model, folder):
    sampler = sample_tasks(sources(folder), "sqrt", **OPTIONS).in_order()
    found = rows_of(read(model, sampler, [0], training=False))
    pd.testing.assert_frame_equal(found, WIDE[["kind", "row"]])


@pytest.mark.slow
def test_files_train_and_validate(folder):
    model = build()
    sampler = sample_tasks(sources(folder), "sqrt", batch_size=12)
    weight = {"sample_weight": "weight"}
    logs = model.fit(sampler, validation_data=sampler, verbose=0, **weight).history
    expected = model.evaluate(WIDE, verbose=0, return_dict=True, **weight)
    last = {name: logs[f"val_{name}"][-1] for name in expected}
    assert last != pytest.approx(expected, rel=1e-3)  # weights are not of validation
    plain = model.evaluate(WIDE, verbose=0, return_dict=True)
    assert last == pytest.approx(plain, rel=1e-5)
    weighted = model.evaluate(sampler, verbose=0, return_dict=True, **weight)
    assert weighted == pytest.approx(expected, rel=1e-5)


def frame_file(folder, frame):
    file = folder / f"wrong_{len(list(folder.iterdir()))}.parquet"
    frame.to_parquet(file)
    return kmtl.data.read_parquet(file, chunk_rows=4)


A = FRAMES["a"]
WRONG = {
    "other labels": (A.assign(b=1.0), r"task 'a' .* alone. Received: columns \['b'\]"),
    "no label": (A.drop(columns="a"), "'a': .*no label column for task 'a'"),
    "no feature": (A.drop(columns="row"), "(?s)'a': .*'row'.*wrong_"),
    "labels": (
        A.assign(a=[0, 1, 2] * 7 + [0, 1]),
        "(?s)'a': .*must be 0 and 1.*wrong_",
    ),
    "no labels": (A.assign(a=np.nan), "'a': Every label of task 'a' is missing"),
    "no rows": (A[:0], "'a': A source must hold at least one row"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_file_names_task_and_file(model, folder, name):
    frame, message = WRONG[name]
    data = {"a": frame_file(folder, frame)}
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(sample_tasks(data, batch_size=5), verbose=0)


def cut(folder):
    """A shard whose first rows can be read, and the last cannot."""
    file = folder / "cut.csv"
    file.write_text("kind,row,a\n" + "a,1,0\n" * 9 + 'a,"2')
    return file


def test_a_corrupt_shard_is_named_or_skipped_when_asked(model, folder):
    file = cut(folder)
    with pytest.raises(OSError, match=r"cut.csv.*cannot be read after"):
        sample_tasks({"a": kmtl.data.read_csv(file, chunk_rows=4)})
    source = kmtl.data.read_csv(file, chunk_rows=4, skip_corrupt=True)
    with pytest.warns(UserWarning, match="1 corrupt parts"):
        sampler = sample_tasks({"a": source}, batch_size=4)
    with pytest.warns(UserWarning, match=r"cut.csv after 8 rows"):
        model.fit(sampler, verbose=0)
    assert sampler.table()["size"].tolist() == [8]


def test_a_file_that_changes_is_an_error(model, folder):
    file = folder / "changing.csv"
    FRAMES["b"].to_csv(file, index=False)
    sampler = sample_tasks({"b": kmtl.data.read_csv(file)}, **OPTIONS)
    FRAMES["b"][:4].to_csv(file, index=False)
    with pytest.raises(OSError, match=r"must not change .*changing\.csv"):
        model.fit(sampler, verbose=0)


ENDLESS = tf.data.Dataset.from_tensors(([[0.0]], [1])).repeat()
CALLS = {
    "predict": (lambda m, s, _: m.predict(s), "rows in an order of their own"),
    "endless": (
        lambda m, *_: m.evaluate(sample_tasks({"a": ENDLESS}, "uniform", steps=2)),
        "datasets must end.*task 'a'",
    ),
    "batch size": (lambda m, s, _: m.evaluate(s, batch_size=3), "`batch_size` must be"),
    "validation": (
        lambda m, s, _: m.fit(s, validation_data=s, validation_batch_size=3),
        "`batch_size` must be given to `sample_tasks`",
    ),
    "labels": (lambda m, s, _: m.evaluate(s, {"a": [1]}), "`y` must come from the"),
    "one batch": (lambda m, _, f: m.train_on_batch(f), "one batch.*Use `fit`"),
    "one test": (lambda m, s, _: m.test_on_batch(s), "one batch.*Use `evaluate`"),
    "one answer": (lambda m, _, f: m.predict_on_batch(f), "Use `predict`"),
    "dict": (lambda m, _, f: m.fit({"a": f}), "sample_tasks` for one a task"),
    "list": (lambda m, _, f: m.predict([f, f]), "read files of one form together"),
    "split": (lambda m, s, _: m.fit(s, validation_split=0.1), "`validation_data`"),
    "kinds": (
        lambda _m, _s, f: sample_tasks({"a": f, "b": A}),
        "tables in files for all",
    ),
    "task column": (
        lambda _m, _s, f: rows_by_task(f, task="kind", label="a"),
        "partition_cols",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_cannot_be(model, folder, name):
    call, message = CALLS[name]
    data = sources(folder)
    with pytest.raises((TypeError, ValueError), match=message):
        call(model, sample_tasks(data, **OPTIONS), data["a"])
