"""Versions appear whole, under numbers of their own, and old ones go."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small import build

import kmtl
from kmtl import BinaryTask
from kmtl.export._versions import (
    check_folder,
    prune,
    rename_to_next_version,
    unfinished,
)
from kmtl.serving._version_folders import version_folders


def export_to(base):
    """Does what an export does with folders."""
    with unfinished(base) as folder:
        folder.mkdir()
        (folder / "saved_model.pb").write_text("whole")
        return rename_to_next_version(folder, base)


def versions(base):
    return list(version_folders(base))


def names(base):
    return sorted(path.name for path in base.iterdir())


def test_versions_are_numbered_from_one(tmp_path):
    assert [export_to(tmp_path).name for _ in range(3)] == ["1", "2", "3"]


def test_the_next_version_follows_the_highest(tmp_path):
    for name in ("3", "10", "notes", "011x"):
        (tmp_path / name).mkdir()
    assert export_to(tmp_path).name == "11"


def test_an_interrupted_export_leaves_nothing(tmp_path):
    def interrupted():
        with unfinished(tmp_path) as folder:
            folder.mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_no_version_is_visible_before_it_is_whole(tmp_path):
    with unfinished(tmp_path) as folder:
        folder.mkdir()
        assert versions(tmp_path) == []
        assert [name[:8] for name in names(tmp_path)] == [".export-"]


def test_a_version_appears_at_once(tmp_path):
    with unfinished(tmp_path) as folder:
        folder.mkdir()
        version = rename_to_next_version(folder, tmp_path)
        assert version.is_dir()
        assert not folder.exists()  # it was moved: a copy is visible before it is whole


def test_a_server_reads_zeros_too(tmp_path):
    for name in ("007", "3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"")
    assert version_folders(tmp_path) == {3: tmp_path / "3", 7: tmp_path / "007"}
    prune(tmp_path, keep=1)
    assert names(tmp_path) == ["007"]
    assert export_to(tmp_path).name == "8"


def test_concurrent_exports_get_numbers_of_their_own(tmp_path):
    threads = [threading.Thread(target=export_to, args=(tmp_path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions(tmp_path) == list(range(1, 9))
    assert names(tmp_path) == [str(number) for number in range(1, 9)]


def test_only_the_newest_versions_are_kept(tmp_path):
    for _ in range(4):
        export_to(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "0").mkdir()  # no version: it holds no model
    prune(tmp_path, keep=2)
    assert names(tmp_path) == ["0", "3", "4", "notes"]


def test_what_a_killed_export_left_goes_another_day(tmp_path):
    old, young = tmp_path / ".export-old", tmp_path / ".export-young"
    old.mkdir()
    young.mkdir()
    yesterday = time.time() - 25 * 60 * 60
    os.utime(old, (yesterday, yesterday))
    export_to(tmp_path)
    assert names(tmp_path) == [".export-young", "1"]


@pytest.mark.parametrize("address", ["gs://bucket/census", "s3://a/b", "hdfs://a/b"])
def test_stores_without_renaming_are_refused(address):
    with pytest.raises(
        ValueError, match=r"on a disk of this machine.*Export to a local"
    ):
        check_folder(address)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="`folder` must be a folder"):
        check_folder(tmp_path / "file")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs Linux' /proc")
def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(OSError, match="`folder` must be a folder that can be written"):
        check_folder("/proc/models")


@pytest.mark.parametrize("folder", [None, "", b"models", 3])
def test_what_is_no_path_is_refused(folder):
    for use in (check_folder, kmtl.load, kmtl.serving.write_models_config):
        with pytest.raises(TypeError, match="`folder` must be a path"):
            use(folder)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task_signatures": ["aa"]}, r"task_signatures.*'aa'.*Did you mean 'a'"),
        ({"task_signatures": "a"}, "`task_signatures` must be a list"),
        ({"top_k": 0}, "`top_k` must be a positive integer"),
        ({"keep": 0}, "`keep` must be a positive integer"),
        ({"keep": True}, "`keep` must be a positive integer"),
        ({"representation": "yes"}, "`representation` must be"),
        ({"batching": {"max_batch": 3}}, "max_batch_size"),
    ],
)
def test_wrong_arguments_leave_nothing(tmp_path, wrong, message):
    model = build([BinaryTask("a")])
    with pytest.raises((ValueError, TypeError), match=message):
        kmtl.export_saved_model(model, tmp_path, **wrong)
    assert names(tmp_path) == []


EXPORT = """
import resource, signal, sys
import kmtl
model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
{before}
kmtl.export_saved_model(model, sys.argv[1])
"""
FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""
KILLED = """
from kmtl.export import _export
_export.rename_to_next_version = lambda *_: signal.raise_signal(signal.SIGKILL)
"""


def run(script, folder):
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(tmp_path):
    done = run(EXPORT.format(before=FULL), tmp_path)
    assert done.returncode == 1
    assert "`folder`" in done.stderr.splitlines()[-1]
    assert names(tmp_path) == []


@pytest.mark.slow
def test_a_killed_process_leaves_no_version(tmp_path):
    done = run(EXPORT.format(before=KILLED), tmp_path)
    assert done.returncode == -9
    assert versions(tmp_path) == []
    assert [name[:8] for name in names(tmp_path)] == [".export-"]
    assert export_to(tmp_path).name == "1"
