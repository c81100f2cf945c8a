"""`batching_params.pbtxt` is what TensorFlow Serving reads."""

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

from kmtl.export._batching import FILE, write_batching

FIELD = descriptor_pb2.FieldDescriptorProto
WRAPPED = ".google.protobuf.Int64Value"
# BatchingParameters of tensorflow_serving/servables/tensorflow/
# session_bundle_config.proto, which `tensorflow-serving-api` does not come with.
FIELDS = [
    ("max_batch_size", 1, FIELD.TYPE_MESSAGE, WRAPPED),
    ("batch_timeout_micros", 2, FIELD.TYPE_MESSAGE, WRAPPED),
    ("max_enqueued_batches", 3, FIELD.TYPE_MESSAGE, WRAPPED),
    ("pad_variable_length_inputs", 7, FIELD.TYPE_BOOL, None),
    (
        "enable_large_batch_splitting",
        8,
        FIELD.TYPE_MESSAGE,
        WRAPPED[:-10] + "BoolValue",
    ),
    ("max_execution_batch_size", 9, FIELD.TYPE_MESSAGE, WRAPPED),
]


@pytest.fixture(scope="module")
def message():
    """Makes an empty message of the definition above."""
    wrappers = pytest.importorskip("google.protobuf.wrappers_pb2")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", dependency=[wrappers.DESCRIPTOR.name], syntax="proto3"
    )
    definition = file.message_type.add(name="BatchingParameters")
    for name, number, kind, type_name in FIELDS:
        definition.field.add(
            name=name,
            number=number,
            type=kind,
            type_name=type_name,
            label=FIELD.LABEL_OPTIONAL,
        )
    definition.field.add(
        name="allowed_batch_sizes",
        number=6,
        type=FIELD.TYPE_INT64,
        label=FIELD.LABEL_REPEATED,
    )
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("BatchingParameters")
    return message_factory.GetMessageClass(descriptor)


def test_all_parameters(tmp_path):
    batching = {
        "allowed_batch_sizes": [1, 8, 128],
        "max_batch_size": 128,
        "batch_timeout_micros": 0,
        "max_enqueued_batches": 10,
        "max_execution_batch_size": 64,
        "enable_large_batch_splitting": True,
        "pad_variable_length_inputs": False,
    }
    write_batching(tmp_path, batching)
    assert (tmp_path / FILE).read_text().splitlines() == [
        "max_batch_size { value: 128 }",
        "batch_timeout_micros { value: 0 }",
        "max_enqueued_batches { value: 10 }",
        "max_execution_batch_size { value: 64 }",
        "enable_large_batch_splitting { value: true }",
        "pad_variable_length_inputs: false",
        "allowed_batch_sizes: 1",
        "allowed_batch_sizes: 8",
        "allowed_batch_sizes: 128",
    ]


def test_a_server_can_read_the_file(tmp_path, message):
    batching = {
        "max_batch_size": 128,
        "allowed_batch_sizes": (32, 128),
        "enable_large_batch_splitting": False,
        "pad_variable_length_inputs": True,
    }
    write_batching(tmp_path, batching)
    read = text_format.Parse((tmp_path / FILE).read_text(), message())
    assert read.max_batch_size.value == 128
    assert list(read.allowed_batch_sizes) == [32, 128]
    assert read.HasField("enable_large_batch_splitting")
    assert read.pad_variable_length_inputs
    assert not read.HasField("batch_timeout_micros")


@pytest.mark.parametrize(
    ("batching", "words"),
    [
        ({"max_batchsize": 8}, r"unknown parameter.*Did you mean 'max_batch_size'"),
        ({"num_batch_threads": 4}, "whole server: .*--batching_parameters_file"),
        ({"batch_timeout_micros": 4}, "`batching` must have max_batch_size"),
        ({"max_batch_size": 0}, r"`batching\['max_batch_size'\]` must be a positive"),
        ({"max_batch_size": 8.0}, "must be a positive integer"),
        ({"max_batch_size": 8, "batch_timeout_micros": -1}, "at least 0"),
        ({"max_batch_size": 8, "pad_variable_length_inputs": 1}, "True or False"),
        ({"max_batch_size": 8, "allowed_batch_sizes": 8}, "must be a list"),
        ({"max_batch_size": 8, "allowed_batch_sizes": [0, 8]}, "positive integer"),
        ({"max_batch_size": 8, "allowed_batch_sizes": [4]}, "end with max_batch_size"),
        ({"max_batch_size": 8, "allowed_batch_sizes": [4, 2, 8]}, "must increase"),
        ({"max_batch_size": 8, "max_execution_batch_size": 9}, "at most max_batch_siz"),
    ],
)
def test_what_a_server_refuses_is_not_written(tmp_path, batching, words):
    with pytest.raises(ValueError, match=words):
        write_batching(tmp_path, batching)
    assert not list(tmp_path.iterdir())


def test_parameters_go_by_name(tmp_path):
    with pytest.raises(TypeError, match="`batching` must be a dict"):
        write_batching(tmp_path, [128])
