"""Everything about the package as a package; `pyproject.toml` holds tools only."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "kmtl" / "_version.py").read_text(), re.MULTILINE
)[1]

setup(
    name="kmtl",
    version=VERSION,
    description="Multi-task learning for Keras: from a DataFrame to a served model.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["kmtl", "kmtl.*"]),
    package_data={"kmtl": ["py.typed", "analysis/_report/templates/*"]},
    python_requires=">=3.11",  # the oldest Python that Keras 3.15 and pandas 3 run on
    install_requires=[
        "keras>=3.15",  # the oldest release tested; saving and logs rely on its habits
        "tensorflow>=2.21",  # the oldest release tested with Keras 3.15
        "pandas>=3",  # text columns have the `str` dtype from here on
        "numpy>=2",  # `copy=` semantics of `np.asarray`; what pandas 3 is built for
    ],
    extras_require={
        "test": [
            "pyarrow>=26",  # tables in Parquet files
            "pytest>=8",  # `pyproject.toml` is written for it
            "pytest-xdist>=3.8",  # tests on all cores; most of their time is tracing
            "scikit-learn>=1.5",  # the referee of metrics: exact ROC-AUC
            "tensorboard>=2.20",  # Keras' TensorBoard callback imports it
            "matplotlib>=3.11",  # the pictures of the examples are tested too
            "jinja2>=3.1",  # the page of `kmtl.analysis.report`
        ],
        "dev": [
            # Pinned: a new formatter or checker must not turn an old commit red.
            "ruff==0.17.6",
            "mypy==2.4.1",
            "pandas-stubs==3.1.0.261029",
        ],
        "plot": [
            "matplotlib>=3.11",  # learning curves; 3.9 warns beside pyparsing 3.3
        ],
        "report": [
            "jinja2>=3.1",  # fills the page of the report; the oldest tested
            "matplotlib>=3.11",  # draws its pictures
        ],
        "tensorboard": [
            "tensorboard>=2.20",  # `kmtl.callbacks.TaskBoard`; TensorFlow lacks it
        ],
        "serving": [
            # The messages of TensorFlow Serving, for the gRPC client and warm-up files.
            "tensorflow-serving-api>=2.21",  # the oldest that takes TensorFlow 2.21
        ],
        "parquet": [
            "pyarrow>=26",  # reads Parquet in chunks; the oldest release tested
        ],
        "onnx": [
            "tf2onnx>=1.17",  # writes the file for Keras; 1.16 is bound to protobuf 3
            "onnx>=1.23",  # checks its form; the oldest release tested
            "onnxruntime>=1.32",  # compares it with Keras; the oldest release tested
        ],
        "openvino": [
            "openvino>=2026.4",  # runs exports too; the oldest release tested
        ],
        "bench": [
            "scikit-learn>=1.5",  # logistic regression, trees, exact ROC-AUC
        ],
        "torch": [
            "torch>=2.4",  # the PyTorch side of benchmarks with `--torch`
            "torchjd[quadprog_projector]>=0.18",  # and of `benchmarks/balancing.py`
        ],
    },
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
