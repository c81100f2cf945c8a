"""Runs the scripts of the checkout."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]


def run_script(script, *options):
    """Runs a script, by its path in the checkout, as a user does; returns its text."""
    # The checkout first: scripts are tested without an installed kmtl too.
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, script, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def run_here(script, *options):
    """Does what `run_script` does in this process, which has TensorFlow loaded."""
    path = ROOT / script
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(io.StringIO()) as printed,
        mock.patch.object(sys, "argv", [script, *options]),
        mock.patch.object(sys, "path", [str(path.parent), *sys.path]),
    ):
        runpy.run_path(str(path), run_name="__main__")
    return printed.getvalue()
