"""A SavedModel that TensorFlow Serving runs, and that training can go on from.

`kmtl.export_saved_model` writes one, `kmtl.load` takes the Keras model out of it again.

Example:
    >>> import kmtl, tempfile
    >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = kmtl.export_saved_model(model, folder)
    ...     kmtl.load(folder).task_names
    ['a']
"""

from kmtl.export._export import export_saved_model
from kmtl.export._load import load

__all__ = ["export_saved_model", "load"]
