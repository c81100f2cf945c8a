"""Files of arrays by name, strings among them, that hold no pickles.

NumPy would pickle objects, and cuts NUL bytes off the end of fixed-width strings.
"""

import numpy as np


def save_arrays(path, arrays):
    """Writes arrays by name; strings get one byte more, so that they keep their end."""
    np.savez(path, **{name: _as_fixed_width(array) for name, array in arrays.items()})


def load_arrays(path):
    """Reads arrays by name, strings as objects of type `bytes`."""
    with np.load(path) as file:
        return {name: _as_objects(file[name]) for name in file.files}


def _as_fixed_width(array):
    array = np.asarray(array)
    if array.dtype.kind not in "OSU":
        return array
    items = [s.encode("utf-8") if isinstance(s, str) else s for s in array.flat]
    return np.array([item + b"." for item in items], "S").reshape(array.shape)


def _as_objects(array):
    if array.dtype.kind != "S":
        return array
    items = np.empty(array.size, object)
    items[:] = [item[:-1] for item in array.flat]
    return items.reshape(array.shape)
