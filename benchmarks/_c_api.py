"""A SavedModel in TensorFlow's C API: the loader of TF Serving, without Python.

`TF_LoadSessionFromSavedModel` is the C++ loader (tag `serve`, variables, tables) behind
a C function; it is called through `ctypes`, from the library that lies in TensorFlow's
wheel. The Python package `tensorflow` is never imported, so nothing of Keras or of kmtl
can help the model along.

As a script it answers requests from a file, which tests compare with Keras:

    python benchmarks/_c_api.py VERSION requests.npz answers.npz

Arrays are named "signature:key". It prints the signature definitions as JSON.

Reference:
    tensorflow/c/c_api.h, https://github.com/tensorflow/tensorflow
"""

import ctypes
import functools
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from _array_files import load_arrays, save_arrays
from _signature_definitions import DTYPES, read_signatures

CODES = {name: code for code, name in DTYPES.items()}
STRING_BYTES = 24  # sizeof(TF_TString)


class _Buffer(ctypes.Structure):
    """`TF_Buffer`."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class _Output(ctypes.Structure):
    """`TF_Output`: an operation and which of its outputs."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


@functools.cache
def library() -> ctypes.CDLL:
    """Loads the library of the installed wheel, in a few seconds."""
    origin = importlib.util.find_spec("tensorflow").origin  # finds, imports nothing
    path = next(Path(origin).parent.glob("libtensorflow_cc*"))
    loaded = ctypes.CDLL(str(path))
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    for name, result in {
        "TF_AllocateTensor": pointer,
        "TF_Dim": ctypes.c_int64,
        "TF_GetCode": number,
        "TF_GraphOperationByName": pointer,
        "TF_LoadSessionFromSavedModel": pointer,
        "TF_Message": ctypes.c_char_p,
        "TF_NewBuffer": ctypes.POINTER(_Buffer),
        "TF_NewGraph": pointer,
        "TF_NewSessionOptions": pointer,
        "TF_NewStatus": pointer,
        "TF_NumDims": number,
        "TF_StringGetDataPointer": pointer,
        "TF_StringGetSize": size,
        "TF_TensorByteSize": size,
        "TF_TensorData": pointer,
        "TF_TensorType": number,
    }.items():
        getattr(loaded, name).restype = result
    return loaded


class Status:
    """Turns an error of the library into a `RuntimeError`."""

    def __init__(self):
        self.handle = ctypes.c_void_p(library().TF_NewStatus())

    def check(self):
        if library().TF_GetCode(self.handle):
            raise RuntimeError(library().TF_Message(self.handle).decode())


# Tensors.


def to_tensor(array) -> ctypes.c_void_p:
    """Copies an array into a new `TF_Tensor`; objects, bytes and text are strings."""
    array = np.asarray(array)
    is_text = array.dtype.kind in "OSU"
    code = CODES["string" if is_text else array.dtype.name]
    size = STRING_BYTES * array.size if is_text else array.nbytes
    sizes = (ctypes.c_int64 * array.ndim)(*array.shape)
    made = library().TF_AllocateTensor(code, sizes, array.ndim, ctypes.c_size_t(size))
    tensor = ctypes.c_void_p(made)
    start = library().TF_TensorData(tensor)
    if not is_text:
        ctypes.memmove(start, np.ascontiguousarray(array).ctypes.data, size)
        return tensor
    for position, item in enumerate(array.ravel().tolist()):
        text = item.encode("utf-8") if isinstance(item, str) else item
        place = ctypes.c_void_p(start + STRING_BYTES * position)
        library().TF_StringInit(place)
        library().TF_StringCopy(place, text, ctypes.c_size_t(len(text)))
    return tensor


def to_array(tensor: ctypes.c_void_p) -> np.ndarray:
    """Copies a `TF_Tensor` into an array; strings become objects of type `bytes`."""
    rank = library().TF_NumDims(tensor)
    shape = [library().TF_Dim(tensor, axis) for axis in range(rank)]
    dtype = DTYPES[library().TF_TensorType(tensor)]
    start = library().TF_TensorData(tensor)
    if dtype == "string":
        places = range(
            start or 0, (start or 0) + STRING_BYTES * int(np.prod(shape)), STRING_BYTES
        )
        items = np.empty(len(places), object)
        items[:] = [_string_at(place) for place in places]
        return items.reshape(shape)
    size = library().TF_TensorByteSize(tensor)
    return np.frombuffer(ctypes.string_at(start, size), dtype).reshape(shape)


def _string_at(place: int) -> bytes:
    string = ctypes.c_void_p(place)
    data = library().TF_StringGetDataPointer(string)
    return ctypes.string_at(data, library().TF_StringGetSize(string))


def delete_input(tensor: ctypes.c_void_p) -> None:
    """Deletes a tensor of `to_tensor`; only its maker may free its strings."""
    if library().TF_TensorType(tensor) == CODES["string"]:
        start = library().TF_TensorData(tensor)
        for offset in range(0, library().TF_TensorByteSize(tensor), STRING_BYTES):
            library().TF_StringDealloc(ctypes.c_void_p(start + offset))
    library().TF_DeleteTensor(tensor)


# Sessions.


class Session:
    """An exported version in a C++ session.

    Args:
        version: The folder of the version.
        threads: How many threads compute, within an operation and across operations;
            by default as many as TensorFlow wants.

    Attributes:
        signatures: The signature definitions by name.
    """

    def __init__(self, version, threads=None):
        self.graph = ctypes.c_void_p(library().TF_NewGraph())
        self.status = Status()
        options = ctypes.c_void_p(library().TF_NewSessionOptions())
        if threads:  # ConfigProto: fields 2 (intra_op) and 5 (inter_op), both varint
            config = bytes([2 << 3, threads, 5 << 3, threads])
            library().TF_SetConfig(
                options, config, ctypes.c_size_t(len(config)), self.status.handle
            )
            self.status.check()
        meta_graph = library().TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        loaded = library().TF_LoadSessionFromSavedModel(
            options, None, str(version).encode(), tags, 1, self.graph, meta_graph,
            self.status.handle,
        )  # fmt: skip
        self.status.check()
        self.handle = ctypes.c_void_p(loaded)
        content = meta_graph.contents
        self.signatures = read_signatures(
            ctypes.string_at(content.data, content.length)
        )
        library().TF_DeleteBuffer(meta_graph)
        library().TF_DeleteSessionOptions(options)

    def call(self, name, inputs):
        """Prepares a call of a signature, to be run many times."""
        return Call(self, self.signatures[name], inputs)

    def run(self, name, inputs):
        """Runs a signature on arrays by key; returns arrays by key."""
        call = self.call(name, inputs)
        try:
            return call.outputs()
        finally:
            call.close()

    def close(self):
        """Frees the session and its graph."""
        library().TF_DeleteSession(self.handle, self.status.handle)
        library().TF_DeleteGraph(self.graph)

    def places(self, infos):
        """Finds the outputs of operations that hold some tensors."""
        return (_Output * len(infos))(*[self._place(info.name) for info in infos])

    def _place(self, tensor_name):
        operation, _, index = tensor_name.rpartition(":")
        found = library().TF_GraphOperationByName(self.graph, operation.encode())
        if not found:
            raise KeyError(f"The graph has no operation {operation!r}.")
        return _Output(found, int(index))


class Call:
    """A signature with its inputs in place; `run` is all that a server would repeat."""

    def __init__(self, session, signature, inputs):
        if set(inputs) != set(signature.inputs):
            raise KeyError(f"Inputs {sorted(signature.inputs)}, not {sorted(inputs)}.")
        self.session = session
        self.names = list(signature.outputs)
        self.fed = session.places([signature.inputs[key] for key in inputs])
        self.fetched = session.places(signature.outputs.values())
        tensors = [to_tensor(array) for array in inputs.values()]
        self.tensors = (ctypes.c_void_p * len(tensors))(*[t.value for t in tensors])
        self.results = (ctypes.c_void_p * len(self.names))()

    def run(self):
        """Runs once, and lets go of the outputs."""
        self._run()
        self._delete_results()

    def outputs(self):
        """Runs once and returns the outputs as arrays by key."""
        self._run()
        arrays = [to_array(ctypes.c_void_p(result)) for result in self.results]
        self._delete_results()
        return dict(zip(self.names, arrays, strict=True))

    def close(self):
        """Frees the inputs."""
        for tensor in self.tensors:
            delete_input(ctypes.c_void_p(tensor))

    def _run(self):
        status = self.session.status
        library().TF_SessionRun(
            self.session.handle, None,
            self.fed, self.tensors, len(self.fed),
            self.fetched, self.results, len(self.names),
            None, 0, None, status.handle,
        )  # fmt: skip
        status.check()

    def _delete_results(self):
        for result in self.results:
            library().TF_DeleteTensor(ctypes.c_void_p(result))


def main(version, requests, answers):
    """Answers the requests of a file: arrays named "signature:key"."""
    by_signature = {}
    for name, array in load_arrays(requests).items():
        signature, _, key = name.partition(":")
        by_signature.setdefault(signature, {})[key] = array
    session = Session(version)
    found = {
        f"{signature}:{key}": array
        for signature, inputs in by_signature.items()
        for key, array in session.run(signature, inputs).items()
    }
    save_arrays(answers, found)
    signatures = {name: asdict(s) for name, s in session.signatures.items()}
    imported = "tensorflow" in sys.modules
    print(json.dumps({"tensorflow_imported": imported, "signatures": signatures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
