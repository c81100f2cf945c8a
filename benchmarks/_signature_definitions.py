"""The signature definitions of a SavedModel, read without TensorFlow.

Few fields are wanted of the message `MetaGraphDef`, so its bytes are read directly; the
classes that `protoc` makes of it come with TensorFlow's Python only.

Reference:
    https://protobuf.dev/programming-guides/encoding and, in TensorFlow,
    tensorflow/core/protobuf/meta_graph.proto
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

DTYPES = {  # tensorflow/core/framework/types.proto
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}


@dataclass
class TensorInfo:
    """What a signature says of one tensor; a size of -1 is free."""

    name: str = ""
    dtype: str = ""
    shape: list[int] = field(default_factory=list)


@dataclass
class Signature:
    """A `SignatureDef`: tensors by key."""

    inputs: dict[str, TensorInfo] = field(default_factory=dict)
    outputs: dict[str, TensorInfo] = field(default_factory=dict)
    method_name: str = ""


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yields the number and the value of each field of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
        else:  # 1: eight bytes, 2: length first, 5: four bytes
            size, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at : at + size], at + size
        yield tag >> 3, value


def _text(data: memoryview) -> str:
    return bytes(data).decode("utf-8")


def _entry(data: memoryview) -> tuple[str, memoryview]:
    """Reads an entry of a protobuf map: its key and the bytes of its value."""
    entry = dict(_fields(data))
    return _text(entry.get(1, memoryview(b""))), entry.get(2, memoryview(b""))


def _size(dimension: memoryview) -> int:
    size = dict(_fields(dimension)).get(1, 0)
    return size - 2**64 if size >= 2**63 else size


def _tensor_info(data: memoryview) -> TensorInfo:
    info = TensorInfo()
    for number, value in _fields(data):
        if number == 1:
            info.name = _text(value)
        elif number == 2:
            info.dtype = DTYPES.get(value, str(value))
        elif number == 3:
            info.shape = [_size(d) for n, d in _fields(value) if n == 2]
    return info


def _signature(data: memoryview) -> Signature:
    signature = Signature()
    for number, value in _fields(data):
        if number == 3:
            signature.method_name = _text(value)
        elif number in (1, 2):
            key, info = _entry(value)
            side = signature.inputs if number == 1 else signature.outputs
            side[key] = _tensor_info(info)
    return signature


def read_signatures(meta_graph: bytes) -> dict[str, Signature]:
    """Reads the signature definitions of a serialised `MetaGraphDef`."""
    entries = [_entry(v) for n, v in _fields(memoryview(meta_graph)) if n == 5]
    return {name: _signature(data) for name, data in sorted(entries)}
