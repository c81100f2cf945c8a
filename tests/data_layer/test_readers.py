"""Tables in files: the same training as from a frame, and clear errors."""

import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl
from kmtl.data._order import in_turn, mix_rows

ROWS = 90
TASKS = [
    kmtl.BinaryTask("click"),
    kmtl.MulticlassTask("kind"),
    kmtl.RegressionTask("price"),
]
NOT_FEATURES = ["weight", "click", "kind", "price"]


def some_rows():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, ROWS),
            "city": rng.choice(["Oslo", "Rome", "Paris"], ROWS),
            "member": pd.array(rng.random(ROWS) < 0.5, dtype="boolean"),
            "born": pd.date_range("1990-01-31", periods=ROWS, freq="37D"),
            "weight": rng.random(ROWS),
            "click": rng.integers(0, 2, ROWS),
            "kind": rng.choice(["a", "b", "c"], ROWS),
            "price": rng.normal(100, 3, ROWS),
        }
    )
    frame.loc[rng.random(ROWS) < 0.1, ["age", "city", "member", "born"]] = None
    frame.loc[rng.random(ROWS) < 0.3, "price"] = np.nan
    return frame


FRAME = some_rows()


@pytest.fixture
def folder(tmp_path):
    """Three shards with row groups of 20 rows and fewer."""
    for part in range(3):
        rows = FRAME[part * 30 : (part + 1) * 30]
        rows.to_parquet(tmp_path / f"{part}.parquet", row_group_size=20)
        rows.to_csv(tmp_path / f"{part}.csv", index=False)
    return tmp_path


@pytest.fixture
def parquet(folder):
    return kmtl.data.read_parquet(folder / "*.parquet", chunk_rows=16)


def build(data, make):
    keras.utils.set_random_seed(0)
    features = make(data, exclude=NOT_FEATURES)
    model = kmtl.build_mtl_model(
        data, TASKS, features=features, trunk=kmtl.trunks.MLP([4])
    )
    model.compile(run_eagerly=True)
    return model


def fit(model, data, **options):
    options = {"batch_size": 40, "shuffle": False, **options}
    return model.fit(data, sample_weight="weight", verbose=0, **options).history


def order_of(source, epoch):
    """The ages in the order of training."""
    rng = np.random.default_rng([source.seed, epoch])
    pieces = source.pieces()
    streams = (
        ([f["age"].to_numpy()] for f in source.frames_of(pieces[i], []))
        for i in rng.permutation(len(pieces))
    )
    chunks = in_turn(streams, source.interleave)
    return np.concatenate([c[0] for c in mix_rows(chunks, source.buffer_rows, rng)])


def test_frames_of_parquet_are_those_of_pandas(folder, parquet):
    expected = pd.concat(map(pd.read_parquet, sorted(folder.glob("*.parquet"))))
    frames = list(parquet)
    pd.testing.assert_frame_equal(
        pd.concat(frames, ignore_index=True), expected.reset_index(drop=True)
    )
    assert max(map(len, frames)) == 16
    assert parquet.rows == ROWS


def test_columns_are_chosen_and_ordered(folder):
    source = kmtl.data.read_parquet(folder / "*.parquet", columns=["city", "age"])
    assert [list(f) for f in source] == [["city", "age"]] * 3
    assert kmtl.data.read_csv(folder / "0.csv", ["kind"]).column_names() == ["kind"]


def test_training_on_a_source_equals_training_on_the_frame_bit_for_bit(parquet):
    from_frame = build(FRAME, kmtl.TabularFeatures.from_frame)
    streamed = build(parquet, kmtl.TabularFeatures.from_stream)
    assert streamed.features == from_frame.features
    assert streamed.tasks == from_frame.tasks
    expected = fit(from_frame, FRAME, validation_data=FRAME)
    assert fit(streamed, parquet, validation_data=parquet) == expected
    for ours, theirs in zip(
        streamed.get_weights(), from_frame.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert streamed.evaluate(parquet, verbose=0) == from_frame.evaluate(
        FRAME, verbose=0
    )
    pd.testing.assert_frame_equal(
        streamed.predict_frame(parquet, verbose=0),
        from_frame.predict_frame(FRAME, verbose=0),
    )
    assert parquet.rows_per_second > 0


def test_csv_trains_like_the_frame_that_pandas_reads(folder):
    whole = pd.concat(map(pd.read_csv, sorted(folder.glob("*.csv"))))
    source = kmtl.data.read_csv(folder / "*.csv", chunk_rows=16)
    features = kmtl.TabularFeatures.from_stream(source, exclude=NOT_FEATURES)
    expected = kmtl.TabularFeatures.from_frame(
        whole.reset_index(drop=True), exclude=NOT_FEATURES
    )
    assert features == expected
    assert source.rows == ROWS


@pytest.mark.parametrize("buffer_rows", [7, 40, 1_000])
def test_every_row_comes_once_an_epoch_in_an_order_of_its_own(folder, buffer_rows):
    source = kmtl.data.read_parquet(
        folder / "*.parquet", ["age"], chunk_rows=16, buffer_rows=buffer_rows
    )
    first, again, second = (order_of(source, epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(np.sort(first), np.sort(FRAME["age"]))
    assert not np.array_equal(first, second)


def test_pieces_are_read_in_turn():
    streams = (iter(letters) for letters in ("abc", "d", "ef"))
    assert "".join(in_turn(streams, 2)) == "adbecf"


@pytest.fixture(scope="module")
def model():
    return build(FRAME, kmtl.TabularFeatures.from_frame)


@pytest.mark.slow
def test_shuffled_training_depends_on_seed_and_epoch_alone(model, folder, parquet):
    start = model.get_weights()
    ends = []
    for source, options in (
        (parquet, {"epochs": 2}),
        (parquet, {"epochs": 1}),
        (parquet, {"epochs": 2, "initial_epoch": 1}),
        (kmtl.data.read_parquet(folder / "*.parquet", seed=1), {"epochs": 2}),
    ):
        if "initial_epoch" not in options:
            model.set_weights(start)
            model.compile(optimizer="sgd", run_eagerly=True)
        fit(model, source, shuffle=True, **options)
        ends.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    whole, _, resumed, other_seed = ends
    np.testing.assert_array_equal(whole, resumed)
    assert not np.array_equal(whole, other_seed)


def test_encoded_rows_are_read_from_the_cache(model, folder, tmp_path, monkeypatch):
    source = kmtl.data.read_parquet(folder / "*.parquet", cache=tmp_path / "cache")
    scores = model.evaluate(source, verbose=0)
    assert scores == model.evaluate(FRAME, verbose=0)
    monkeypatch.setattr(kmtl.TabularFeatures, "encode", None)
    assert model.evaluate(source, verbose=0) == scores
    with pytest.raises(TypeError, match="not callable"):
        model.evaluate(source, sample_weight="weight", verbose=0)


def test_a_cache_is_not_taken_for_files_that_have_changed(model, folder, tmp_path):
    options = {"chunk_rows": 50, "cache": tmp_path / "cache"}
    source = kmtl.data.read_parquet(folder / "0.parquet", **options)
    before = model.predict(source, verbose=0)["price"]
    FRAME[30:70].to_parquet(folder / "0.parquet")
    source = kmtl.data.read_parquet(folder / "0.parquet", **options)
    after = model.predict(source, verbose=0)["price"]
    assert (len(before), len(after)) == (30, 40)


def test_a_damaged_cache_is_named(model, folder, tmp_path):
    source = kmtl.data.read_parquet(folder / "0.parquet", cache=tmp_path / "cache")
    model.predict(source, verbose=0)
    for file in tmp_path.glob("cache/*/*.npz"):
        file.write_bytes(b"oh")
    with pytest.raises(OSError, match=r"cache .* is damaged; delete it"):
        model.predict(source, verbose=0)


def test_training_leaves_corrupt_shards_out_when_asked(model, folder):
    damage(folder / "1.parquet")
    source = kmtl.data.read_parquet(folder / "*.parquet", skip_corrupt=True)
    with pytest.warns(UserWarning, match=r"1 corrupt parts of shards were skipped"):
        assert len(model.predict(source, verbose=0)["price"]) == 60


def test_rows_of_csv_files_are_counted_before_the_first_training(model, folder):
    source = kmtl.data.read_csv(
        folder / "*.csv", parse_dates=["born"], dtype={"member": "boolean"}
    )
    history = model.fit(source, batch_size=32, verbose=0)
    assert history.params["steps"] == 3
    (folder / "none.csv").write_text("age\n")
    source = kmtl.data.read_csv(folder / "none.csv")
    with pytest.raises(ValueError, match="at least one row"):
        model.predict(source)


def test_shards_without_rows_are_fine(folder):
    FRAME[:0].to_parquet(folder / "9.parquet")
    FRAME[:0].to_csv(folder / "9.csv", index=False)
    assert sum(map(len, kmtl.data.read_parquet(folder / "*.parquet"))) == ROWS
    assert sum(map(len, kmtl.data.read_csv(folder / "*.csv"))) == ROWS


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_dataset_of_unknown_length_is_trained_on_to_its_end():
    model = kmtl.build_mtl_model((1,), [kmtl.BinaryTask("y")])
    rows = tf.data.Dataset.from_tensor_slices((np.ones((9, 1)), {"y": np.ones(9)}))
    filtered = rows.batch(4).filter(lambda *_: True)
    history = model.fit(filtered, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_paths_that_name_no_file_are_refused(folder):
    with pytest.raises(FileNotFoundError, match=r"must name files.*'none-"):
        kmtl.data.read_parquet("none-*.parquet")
    with pytest.raises(IsADirectoryError, match="Use a pattern"):
        kmtl.data.read_csv(folder)
    with pytest.raises(ValueError, match="at least one file"):
        kmtl.data.read_csv([])
    with pytest.raises(ValueError, match="`paths` must be unique"):
        kmtl.data.read_csv([folder / "0.csv", folder / "*.csv"])


def damage(file):
    """Destroys the first pages and leaves the footer as it is."""
    content = bytearray(file.read_bytes())
    content[4:200] = bytes(196)
    file.write_bytes(bytes(content))


def test_a_corrupt_shard_is_named(model, folder):
    damage(folder / "1.parquet")
    source = kmtl.data.read_parquet(folder / "*.parquet")
    with pytest.raises(OSError, match=r"Shard .*1\.parquet' cannot be read after 0"):
        list(source)
    with pytest.raises(OSError, match=r"Shard .*1\.parquet' cannot be read"):
        fit(model, source)


def test_pages_of_parquet_are_compared_with_their_checksums(tmp_path):
    file = tmp_path / "rows.parquet"
    plain = {"compression": "none", "use_dictionary": False}
    FRAME[["weight"]].to_parquet(file, write_page_checksum=True, **plain)
    content = bytearray(file.read_bytes())
    content[200:264] = bytes(255 - code for code in content[200:264])
    file.write_bytes(bytes(content))
    with pytest.raises(OSError, match=r"rows\.parquet' cannot be read .*CRC checksum"):
        list(kmtl.data.read_parquet(file))


def test_a_corrupt_shard_is_skipped_only_when_asked(folder):
    damage(folder / "1.parquet")
    (folder / "2.parquet").write_bytes(b"PAR1")
    with pytest.raises(OSError, match=r"Shard .*2\.parquet' cannot be read"):
        kmtl.data.read_parquet(folder / "*.parquet")
    source = kmtl.data.read_parquet(folder / "*.parquet", skip_corrupt=True)
    with pytest.warns(UserWarning, match=r"2 corrupt parts .*2\.parquet.*1\.parquet"):
        assert sum(map(len, source)) == 30
    assert source.rows is None
    with pytest.raises(ValueError, match="`skip_corrupt` must be False"):
        kmtl.data.read_parquet(folder / "0.parquet", skip_corrupt=True, cache="x")


def test_a_compressed_csv_that_was_cut_off_is_named(folder):
    file = folder / "rows.csv.gz"
    FRAME.to_csv(file, index=False)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(OSError, match=r"rows\.csv\.gz' cannot be read after .* EOF"):
        list(kmtl.data.read_csv(file, chunk_rows=10))


def test_shards_with_other_columns_or_types_are_refused(folder):
    FRAME.drop(columns="city").to_parquet(folder / "7.parquet")
    with pytest.raises(
        ValueError, match=r"7\.parquet' must have the columns of .*city"
    ):
        kmtl.data.read_parquet(folder / "*.parquet")
    kmtl.data.read_parquet(folder / "*.parquet", columns=["age"])
    FRAME.assign(city=1).to_parquet(folder / "7.parquet")
    with pytest.raises(
        ValueError, match=r"'city' of shard .*7\.parquet' must be .*int64"
    ):
        kmtl.data.read_parquet(folder / "*.parquet")
    FRAME.assign(city=None).to_parquet(folder / "7.parquet")
    kmtl.data.read_parquet(folder / "*.parquet")
    FRAME.drop(columns="city").to_csv(folder / "7.csv")
    with pytest.raises(ValueError, match=r"7\.csv' must have the columns of"):
        kmtl.data.read_csv(folder / "*.csv")


def test_a_csv_column_of_several_types_is_refused(tmp_path):
    file = tmp_path / "codes.csv"
    file.write_text("code,y\n" + "12,0\n" * 5 + "1a,1\n")
    with pytest.raises(TypeError, match=r"'code' .*number in .*text in .*'1a'\]"):
        list(kmtl.data.read_csv(file, chunk_rows=3))
    source = kmtl.data.read_csv(file, chunk_rows=3, dtype={"code": "str"})
    assert pd.concat(source)["code"].tolist() == ["12"] * 5 + ["1a"]


def test_without_pyarrow_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[parquet\]'"):
        kmtl.data.read_parquet(folder / "*.parquet")


def test_wrong_settings_are_refused(folder):
    file = folder / "0.parquet"
    with pytest.raises(ValueError, match=r"`columns` names an unknown column.*'ages'"):
        kmtl.data.read_parquet(file, columns=["ages"])
    with pytest.raises(TypeError, match=r"Use \['age'\]"):
        kmtl.data.read_parquet(file, columns="age")
    with pytest.raises(ValueError, match="`chunk_rows` must be a positive integer"):
        kmtl.data.read_parquet(file, chunk_rows=0)
    with pytest.raises(ValueError, match="`nrows` must not be given"):
        kmtl.data.read_csv(folder / "0.csv", nrows=3)


def test_labels_and_weights_must_be_columns_of_the_source(model, folder, parquet):
    with pytest.raises(ValueError, match="`y` must be columns of the source"):
        model.fit(parquet, {"click": [1]})
    with pytest.raises(ValueError, match="`sample_weight` must name a column"):
        model.fit(parquet, sample_weight=np.ones(ROWS))
    source = kmtl.data.read_parquet(folder / "*.parquet", columns=["age", "click"])
    with pytest.raises(ValueError, match="no label column for task 'kind'"):
        kmtl.build_mtl_model(source, TASKS)


def test_an_error_in_the_rows_keeps_its_type_and_names_the_shard(model, folder):
    FRAME.assign(age=np.inf).to_parquet(folder / "1.parquet")
    source = kmtl.data.read_parquet(folder / "*.parquet")
    with pytest.raises(ValueError, match="'age' must be finite") as caught:
        model.evaluate(source, verbose=0)
    assert "1.parquet" in caught.value.__notes__[0]


def test_a_task_without_labels_is_told_after_the_first_pass(model, folder):
    FRAME.assign(price=np.nan).to_parquet(folder / "0.parquet")
    source = kmtl.data.read_parquet(folder / "0.parquet")
    with pytest.raises(ValueError, match="Every label of task 'price' is missing"):
        fit(model, source)


def test_shards_that_change_while_they_are_read_are_an_error(folder, parquet):
    FRAME[:30].to_parquet(folder / "2.parquet", row_group_size=20)
    with pytest.raises(OSError, match=r"must not change .*2\.parquet' is another"):
        list(parquet)
    file = folder / "0.csv"
    source = kmtl.data.read_csv(file, chunk_rows=10)
    next(frames := iter(source))
    with file.open("a") as opened:
        opened.write(file.read_text().splitlines()[-1] + "\n")
    source.rows = 30
    with pytest.raises(OSError, match=r"must not change .* 31 rows, 30 before"):
        list(frames)


def test_a_source_tells_how_fast_it_was_read(model, folder):
    source = kmtl.data.read_parquet(folder / "0.parquet")
    assert repr(source) == "ParquetSource(1 files, rows=30)"
    model.predict(source, verbose=0)
    assert repr(source).startswith("ParquetSource(1 files, rows=30, rows_per_second=")


def test_batches_of_no_rows_are_refused(model, parquet):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        model.fit(parquet, batch_size=0)
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        model.fit(parquet, validation_data=parquet, validation_batch_size=0)


def as_example(row):
    kept = {
        "age": tf.train.Feature(float_list=tf.train.FloatList(value=[row.age])),
        "born": int_feature(row.born.timestamp()),
        "click": int_feature(row.click),
        "member": int_feature(row.member),
        "city": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[row.city.encode()])
        ),
    }
    return tf.train.Example(features=tf.train.Features(feature=kept))


def int_feature(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))


@pytest.fixture
def records(tmp_path):
    """Rows without missing values, then one that holds nothing."""
    file = tmp_path / "rows.tfrecord"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for row in FRAME.dropna(subset=["age", "city", "member", "born"]).itertuples():
            writer.write(as_example(row).SerializeToString())
        writer.write(tf.train.Example().SerializeToString())
    return file


def test_examples_are_read_as_the_features_say(records):
    names = ["age", "city", "member", "born"]
    features = kmtl.TabularFeatures.from_frame(FRAME[names])
    source = kmtl.data.read_tfrecord(
        records, {"click": "integer"}, features=features, chunk_rows=16
    )
    frame = pd.concat(source)
    known = FRAME.dropna(subset=names)
    expected = features.encode(known.astype({"age": "float32"}))
    for key, array in features.encode(frame[:-1]).items():
        np.testing.assert_array_equal(array, expected[key])
    assert frame["click"][:-1].tolist() == known["click"].tolist()
    assert frame.iloc[-1].isna().all()
    assert source.rows == len(known) + 1


def test_wrong_examples_are_refused(records):
    with pytest.raises(ValueError, match=r"must hold one value of the type.*age"):
        list(kmtl.data.read_tfrecord(records, {"age": "string"}))
    with pytest.raises(ValueError, match=r"columns\['age'\]` must be one of"):
        kmtl.data.read_tfrecord(records, {"age": "float"})
    with pytest.raises(ValueError, match="must name at least one column"):
        kmtl.data.read_tfrecord(records)
    with tf.io.TFRecordWriter(str(records.with_name("latin"))) as writer:
        latin = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"K\xf6ln"]))
        kept = tf.train.Features(feature={"city": latin})
        writer.write(tf.train.Example(features=kept).SerializeToString())
    with pytest.raises(OSError, match=r"latin' cannot .*'city' must hold UTF-8.*xf6ln"):
        list(kmtl.data.read_tfrecord(records.with_name("latin"), {"city": "string"}))
    records.write_bytes(records.read_bytes()[:-30])
    with pytest.raises(OSError, match=r"rows\.tfrecord' cannot be read after"):
        list(kmtl.data.read_tfrecord(records, {"age": "number"}, chunk_rows=5))


@pytest.mark.slow
def test_census_from_shards_trains_like_the_frame(tmp_path):
    data = Path(__file__).parents[2] / "examples" / "data" / "census_income"
    names = (data / "columns.txt").read_text().split()
    file = data / "census-income.data.xz"
    frame = pd.read_csv(file, names=names, skipinitialspace=True)
    for part, rows in enumerate(np.array_split(np.arange(len(frame)), 8)):
        shard = frame.iloc[rows]
        shard.to_parquet(tmp_path / f"{part}.parquet", row_group_size=10_000)
    tasks = [
        kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
        kmtl.MulticlassTask("marital", label="marital_status"),
        kmtl.RegressionTask("age"),
    ]
    source = kmtl.data.read_parquet(tmp_path / "*.parquet")
    histories, models = [], []
    for table in (frame, source):
        keras.utils.set_random_seed(0)
        model = kmtl.build_mtl_model(table, tasks, trunk=kmtl.trunks.MLP([32]))
        options = {"batch_size": 1024, "shuffle": False, "verbose": 0}
        histories.append(model.fit(table, **options).history)
        models.append(model)
    assert models[0].features == models[1].features
    assert histories[0] == histories[1]
    weights = zip(models[0].get_weights(), models[1].get_weights(), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in weights)
