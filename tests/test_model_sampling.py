"""`fit` on what `sample_tasks` returns."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import build, head_slices, some_inputs, some_labels, some_tasks

import kmtl
from kmtl.data import pivot_labels, rows_by_task, sample_tasks

SIZES = {"click": 30, "colour": 12, "price": 7, "buy": 3}
X = some_inputs(30)
LABELS = some_labels(some_tasks(), 30)
DATA = {task: (X[:n] + n, LABELS[task][:n]) for task, n in SIZES.items()}
OPTIONS = {"batch_size": 20, "seed": 1}  # 3 batches an epoch


def by_hand(sampler, epoch=0):
    """The rows of an epoch as arrays, labels of other tasks missing."""
    draws = sampler.draws(epoch)
    pairs = list(zip(draws["task"], draws["row"], strict=True))
    x = np.stack([DATA[task][0][row] for task, row in pairs])
    y = {
        task: np.array([DATA[t][1][r] if t == task else np.nan for t, r in pairs])
        for task in SIZES
    }
    return x, y


def weights(model):
    return [keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables]


def trained(*calls, **options):
    """Weights after one or more calls of `fit`."""
    model = build(some_tasks(), **options)
    for x, arguments in calls:
        model.fit(x, verbose=0, **arguments)
    return weights(model)


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_epoch_is_the_rows_given_by_hand():
    sampler = sample_tasks(DATA, "sqrt", **OPTIONS)
    model = build(some_tasks())
    x, y = by_hand(sampler)
    logs = model.fit(x, y, batch_size=20, shuffle=False, verbose=0).history
    twin = build(some_tasks())
    assert twin.fit(sampler, verbose=0).history == logs
    assert_equal(weights(twin), weights(model))


def test_a_run_goes_on_as_if_it_had_not_been_interrupted():
    sampler = sample_tasks(DATA, "uniform", **OPTIONS)
    whole = trained((sampler, {"epochs": 2}))
    by_epochs = trained((sampler, {}), (sampler, {"initial_epoch": 1, "epochs": 2}))
    assert_equal(whole, by_epochs)


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        del logs
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_restored_backup_draws_what_would_have_come(tmp_path):
    sampler = sample_tasks(DATA, "uniform", **OPTIONS)
    model, again = build(some_tasks()), build(some_tasks(), seed=9)
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    with pytest.raises(KeyboardInterrupt):
        model.fit(sampler, epochs=3, callbacks=[backup, Interruption()], verbose=0)
    again.fit(sampler, epochs=3, callbacks=[backup], verbose=0)
    assert_equal(weights(again), trained((sampler, {"epochs": 3})))


def test_the_rest_of_an_epoch_follows_its_first_batches():
    sampler = sample_tasks(DATA, "sqrt", **OPTIONS)
    model = build(some_tasks())
    x, y = by_hand(sampler)
    first = {task: labels[:20] for task, labels in y.items()}
    model.fit(x[:20], first, batch_size=20, shuffle=False, verbose=0)
    model.fit(sampler.skip(int(model.optimizer.iterations)), verbose=0)
    assert_equal(weights(model), trained((sampler, {})))


def test_one_task_a_batch_leaves_other_heads_exactly_as_they_are():
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=0.1)
    model = build(some_tasks(), optimizer=optimizer)
    model.compile(freeze_absent=True)
    sampler = sample_tasks(DATA, "uniform", mixed=False, **OPTIONS)
    model.fit(sampler, verbose=0)
    for step in range(sampler.steps):
        _assert_only_one_head_moves(model, sampler, step)


def _assert_only_one_head_moves(model, sampler, step):
    [present] = sampler.draws(1).query(f"batch == {step}")["task"].unique()
    before = {task: own_state(model, task) for task in SIZES}
    rest = sampler.skip(step)
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: setattr(model, "stop_training", True)
    )
    model.fit(rest, initial_epoch=1, epochs=2, callbacks=[stop], verbose=0)
    moved = [
        task
        for task, state in before.items()
        if any(
            (a != b).any() for a, b in zip(state, own_state(model, task), strict=True)
        )
    ]
    assert moved == [present]


def own_state(model, task):
    """The head of a task and its slots, all slices of stacks that it owns."""
    own = {
        variable.path.replace("/", "_"): layer.tasks.index(task)
        for layer in model.layers
        if isinstance(layer, kmtl.layers.TaskDense) and task in layer.tasks
        for variable in layer.trainable_variables
    }
    slots = [
        keras.ops.convert_to_numpy(slot)[index].copy()
        for slot in model.optimizer.variables
        for path, index in own.items()
        if slot.path.split("/")[-1].startswith(path) and len(slot.shape) > 0
    ]
    assert len(slots) == 2 * len(own)  # both moments
    return [weight.copy() for weight in head_slices(model, task)] + slots


SCHOOLS = pd.DataFrame(
    {
        "hours": np.arange(20.0),
        "town": ["Rome", "Oslo"] * 10,
        "school": ["b"] * 11 + ["a"] * 6 + ["c"] * 3,
        "score": np.linspace(30, 70, 20),
    }
)
NAMES = {"task": "school", "label": "score"}


def school_model(seed=0):
    keras.utils.set_random_seed(seed)
    tasks = [kmtl.RegressionTask(name) for name in "abc"]
    model = kmtl.build_mtl_model(pivot_labels(SCHOOLS, **NAMES), tasks)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def test_frames_with_a_task_column():
    sampler = sample_tasks(rows_by_task(SCHOOLS, **NAMES), "sqrt", batch_size=6)
    model, twin = school_model(), school_model()
    model.fit(sampler, verbose=0)
    draws = sampler.draws()
    own = {s: np.flatnonzero(SCHOOLS["school"] == s) for s in "abc"}
    rows = [own[t][r] for t, r in zip(draws["task"], draws["row"], strict=True)]
    wide = pivot_labels(SCHOOLS, **NAMES).iloc[rows].reset_index(drop=True)
    twin.fit(wide, batch_size=6, shuffle=False, verbose=0)
    assert_equal(weights(model), weights(twin))


def test_frames_with_a_label_column_of_their_own():
    wide = pivot_labels(SCHOOLS, **NAMES)
    wide["weight"] = np.arange(20)
    frames = {s: wide[wide[s].notna()] for s in "abc"}
    model, twin = school_model(), school_model()
    model.fit(sample_tasks(frames), sample_weight="weight", verbose=0)
    split = {s: (f[["hours", "town"]], f[s], f["weight"]) for s, f in frames.items()}
    twin.fit(sample_tasks(split), verbose=0)
    assert_equal(weights(model), weights(twin))


def numbers_model(**options):
    return build([kmtl.RegressionTask("u"), kmtl.RegressionTask("v")], **options)


@pytest.mark.parametrize("as_datasets", [False, True])
def test_label_statistics_are_those_of_all_rows_once(as_datasets):
    data = {"u": (X[:9], np.arange(9.0)), "v": (X[:4], np.arange(4.0) ** 2)}
    if as_datasets:
        data = {t: tf.data.Dataset.from_tensor_slices(d) for t, d in data.items()}
    model = numbers_model()
    model.fit(sample_tasks(data, "uniform", batch_size=4), verbose=0)
    mean, scale = model.outputs_layer.label_statistics_on_host()
    np.testing.assert_allclose(mean, [4, 3.5])
    np.testing.assert_allclose(scale, [np.std(np.arange(9)), np.std([0, 1, 4, 9])])


def test_endless_datasets_are_drawn_alike():
    ones = {"u": 0, "v": 1}
    data = {
        task: tf.data.Dataset.from_tensors((X[0], value)).repeat()
        for task, value in ones.items()
    }
    model = build([kmtl.BinaryTask(task) for task in ones])
    sampler = sample_tasks(data, "uniform", batch_size=6, steps=4)
    history = model.fit(sampler, epochs=2, verbose=0).history
    assert int(model.optimizer.iterations) == 8
    assert not np.isnan(history["u_loss"] + history["v_loss"]).any()


def test_the_progress_bar_knows_how_many_batches_come(capsys):
    sampler = sample_tasks(DATA, **OPTIONS)
    build(some_tasks()).fit(sampler, verbose=1)
    assert f"{sampler.steps}/{sampler.steps}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": LABELS}, "`y` must come from the data"),
        ({"batch_size": 4}, "`batch_size` must be given to `sample_tasks`"),
        ({"steps_per_epoch": 4}, "`steps_per_epoch` must be 3.*pass `steps`"),
        ({"sample_weight": "w"}, "'click': `sample_weight` may name a column only"),
    ],
)
def test_arguments_that_contradict_the_sampler(arguments, message):
    sampler = sample_tasks(DATA, **OPTIONS)
    with pytest.raises(ValueError, match=message):
        build(some_tasks()).fit(sampler, verbose=0, **arguments)


def test_the_rest_of_an_epoch_has_fewer_steps():
    sampler = sample_tasks(DATA, **OPTIONS).skip(2)
    sampler.check_fit(None, {"steps_per_epoch": 1})
    with pytest.raises(ValueError, match=r"must be 1, .*behind skip\(2\).*Received: 3"):
        sampler.check_fit(None, {"steps_per_epoch": 3})


def test_a_sampler_names_the_tasks_of_an_epoch():
    sampler = sample_tasks(DATA, "uniform", starts={"buy": 2}, **OPTIONS)
    assert sampler.tasks_in(1) == ["click", "colour", "price"]
    assert sampler.tasks_in(2) == list(DATA)
    assert sampler.skip(1).tasks_in(2) == []


def test_the_rest_of_an_epoch_is_no_two_epochs():
    sampler = sample_tasks(DATA, **OPTIONS).skip(2)
    with pytest.raises(ValueError, match="must be `initial_epoch \\+ 1`"):
        build(some_tasks()).fit(sampler, epochs=2, verbose=0)


def renamed(frame):
    return {"a": frame.rename(columns={"score": "a"})}


WRONG = {
    "unknown task": ({"bb": (SCHOOLS, [0] * 20)}, "'bb', 20 rows. Did you mean 'b'"),
    "column": (renamed(SCHOOLS.drop(columns="hours")), "'a': .*the column 'hours'"),
    "dtype": (renamed(SCHOOLS.assign(hours="x")), "'a': .*'hours'"),
    "label": ({"a": SCHOOLS}, "'a': .*no label column for task 'a'"),
    "others": (renamed(SCHOOLS.assign(b=1.0)), "labels of task 'b' too, in column 'b'"),
    "all missing": (renamed(SCHOOLS.assign(score=np.nan)), "'a': Every label of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_data_names_the_task(name):
    data, message = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=message):
        school_model().fit(sample_tasks(data), verbose=0)
