"""Asking a model that TensorFlow Serving serves.

Example:
    >>> from kmtl.serving import Client
    >>> client = Client("http://localhost:8501", "census")
    >>> client
    Client('http://localhost:8501', 'census', version=None)
"""

from kmtl.serving._client import Client
from kmtl.serving._models_config import write_models_config

__all__ = ["Client", "write_models_config"]
