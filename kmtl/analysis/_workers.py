"""The trainings of a comparison, one after the other or in several processes."""

import functools
import multiprocessing
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import keras

from kmtl.analysis._runs import Record, Run, Study


def train_all(study: Study, runs: Sequence[Run], jobs: int) -> Iterator[Record]:
    """Yields what each training found, as soon as it has ended.

    Args:
        study: What they have in common.
        runs: The trainings.
        jobs: In how many processes.

    Raises:
        ValueError: If the study cannot be sent to other processes.
        BrokenProcessPool: If a process ends by itself.
        Exception: What a training raised, with a note that names it.
    """
    if jobs == 1:
        for run in runs:
            yield _noted(run, partial(study.train, run))
        return
    _check_program()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.pickle"
        path.write_bytes(_pickled(study))
        yield from _train_in_processes(path, runs, jobs)


def _train_in_processes(path: Path, runs: Sequence[Run], jobs: int) -> Iterator[Record]:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    policy = keras.config.dtype_policy().name
    pool = ProcessPoolExecutor(
        jobs,
        # A fork of a process in which TensorFlow has run hangs.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(threads, keras.config.floatx(), policy),
    )
    try:
        waiting = {pool.submit(_train, path, run): run for run in runs}
        for future in as_completed(waiting):
            yield _noted(waiting[future], future.result)
    except BrokenProcessPool as error:
        error.add_note(
            "A process ended by itself. In a script, call `compare` under "
            '`if __name__ == "__main__":`; if memory ran out, take fewer `jobs`.'
        )
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _check_program() -> None:
    """Raises `ValueError` if other processes cannot start: they run the script anew."""
    main = vars(sys.modules["__main__"])
    script = main.get("__file__")
    if (
        main.get("__spec__") is None
        and script is not None
        and not Path(script).exists()
    ):
        raise ValueError(
            "`jobs` above 1 needs a program that other processes can read: save it in "
            f"a file, or use `jobs=1`. Received: {script}."
        )


def _noted(run: Run, train: Callable[[], Record]) -> Record:
    try:
        return train()
    except Exception as error:
        error.add_note(f"`kmtl.compare` was training {run}.")
        raise


def _start(threads: int, float_type: str, policy: str) -> None:
    """Sets up a new process like the first one, with its share of the cores."""
    # TensorFlow reads these when it runs its first operation.
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    keras.config.set_floatx(float_type)
    keras.config.set_dtype_policy(policy)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process if the first one was killed: it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _train(path: Path, run: Run) -> Record:
    return _study_in(path).train(run)


@functools.cache
def _study_in(path: Path) -> Study:
    """Reads the study, once in a process."""
    try:
        study: Study = pickle.loads(path.read_bytes())
    except (AttributeError, ImportError) as error:  # what is not there in this process
        raise _not_importable(error) from error
    return study


def _pickled(study: Study) -> bytes:
    try:
        return pickle.dumps(study)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _not_importable(error) from error


def _not_importable(error: Exception) -> ValueError:
    return ValueError(
        "`jobs` above 1 sends all that `compare` is given to other processes, so "
        "functions and classes (`build`, losses, trunks) must be at the top of a "
        "module, a file that can be imported: not in a notebook, under "
        '`if __name__ == "__main__":`, lambdas or inside others. Move them there, or '
        f"use `jobs=1`. Received: {error}."
    )
