"""What a comparison says while it trains."""

from collections.abc import Sequence

import keras

from kmtl.analysis._runs import MULTI_TASK, Run, Study, estimated_seconds


def announce(study: Study, runs: Sequence[Run], jobs: int) -> None:
    """Says what is to be trained and how long that may take, by a short try of each.

    Args:
        study: The comparison.
        runs: The trainings that are left.
        jobs: In how many processes.
    """
    all_runs = len([*study.runs()])
    done = (
        f", {all_runs - len(runs)} of them done before" if len(runs) < all_runs else ""
    )
    models = [f"1 {MULTI_TASK}"] + [
        f"{len(study.metrics)} single-task of {model}"
        for model in study.networks
        if model != MULTI_TASK
    ]
    _say(
        f"Comparing: {all_runs} trainings ({len(study.splits)} seeds x "
        f"({' + '.join(models)})){done}. Measuring how long one takes ..."
    )
    seconds = _estimate(study, runs) / jobs
    among = f" in {jobs} processes" if jobs > 1 else ""
    _say(
        f"At most {study.fit['epochs']} epochs each: up to about "
        f"{_duration(seconds)}{among}."
    )


def progress_bar(runs: Sequence[Run]) -> keras.utils.Progbar:
    """Returns a bar that counts trainings."""
    return keras.utils.Progbar(len(runs), unit_name="training")


def _estimate(study: Study, runs: Sequence[Run]) -> float:
    """The seconds of all runs, by the first one of each model."""
    seconds = 0.0
    for model in study.networks:
        same = [run for run in runs if run.model == model]
        if same:
            seconds += len(same) * estimated_seconds(study, same[0])
    return seconds


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - `verbose` asks for it
