"""Data: frames, arrays and datasets become packed batches.

`MTLModel` calls this module; users meet its error messages.
"""

from kmtl.data._adapter import Adapter
from kmtl.data._csv import read_csv
from kmtl.data._datasets import (
    check_ends,
    encoded_labels,
    input_dataset,
    pack_dataset,
)
from kmtl.data._epoch import Epoch
from kmtl.data._given import given_labels
from kmtl.data._label_counts import label_counts
from kmtl.data._label_scan import LabelScan
from kmtl.data._pack import Packer
from kmtl.data._parquet import read_parquet
from kmtl.data._resolve import resolve_task
from kmtl.data._sample_tasks import sample_tasks
from kmtl.data._source import Source
from kmtl.data._split import split
from kmtl.data._stream import Feed, SourceStream
from kmtl.data._task_column import pivot_labels, rows_by_task
from kmtl.data._task_rows import Reading
from kmtl.data._task_sampler import TaskSampler
from kmtl.data._tfrecord import read_tfrecord

__all__ = [
    "Adapter",
    "Epoch",
    "Feed",
    "LabelScan",
    "Packer",
    "Reading",
    "Source",
    "SourceStream",
    "TaskSampler",
    "check_ends",
    "encoded_labels",
    "given_labels",
    "input_dataset",
    "label_counts",
    "pack_dataset",
    "pivot_labels",
    "read_csv",
    "read_parquet",
    "read_tfrecord",
    "resolve_task",
    "rows_by_task",
    "sample_tasks",
    "split",
]
