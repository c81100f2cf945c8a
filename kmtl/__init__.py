"""Multi-task learning for Keras: from a DataFrame or an image array to a served model.

Example:
    >>> import kmtl
    >>> tasks = [kmtl.BinaryTask("rich"), kmtl.RegressionTask("age")]
    >>> model = kmtl.build_mtl_model((8,), tasks)
    >>> model.task_names
    ['rich', 'age']
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "kmtl runs on Keras' TensorFlow backend; set KERAS_BACKEND=tensorflow before "
        f"Keras is imported. Received: {keras.backend.backend()!r}."
    )

from kmtl import (
    analysis,
    balancing,
    callbacks,
    data,
    layers,
    losses,
    metrics,
    regularizers,
    serving,
    sharing,
    testing,
    trunks,
)
from kmtl._version import __version__
from kmtl.analysis import compare
from kmtl.builder import build_mtl_model
from kmtl.export import export_saved_model, load
from kmtl.features import TabularFeatures
from kmtl.model import MTLModel
from kmtl.surgery import add_task, remove_task
from kmtl.tasks import (
    AuxiliaryTask,
    BinaryTask,
    MulticlassTask,
    ProductTask,
    RegressionTask,
)

__all__ = [
    "AuxiliaryTask",
    "BinaryTask",
    "MTLModel",
    "MulticlassTask",
    "ProductTask",
    "RegressionTask",
    "TabularFeatures",
    "__version__",
    "add_task",
    "analysis",
    "balancing",
    "build_mtl_model",
    "callbacks",
    "compare",
    "data",
    "export_saved_model",
    "layers",
    "load",
    "losses",
    "metrics",
    "regularizers",
    "remove_task",
    "serving",
    "sharing",
    "testing",
    "trunks",
]
