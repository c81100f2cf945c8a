"""The versions of a model in its folder, as a server finds them."""

import re
from pathlib import Path


def numbered_folders(model: Path) -> dict[int, Path]:
    """Returns what is called by a number in the folder of a model, in that order.

    A server reads `01` as 1, too: `ParseVersionNumber` in
    `file_system_storage_path_source.cc` of https://github.com/tensorflow/serving.
    """
    found = {
        int(path.name): path
        for path in sorted(model.iterdir())
        if re.fullmatch("[0-9]+", path.name)
    }
    return dict(sorted(found.items()))


def version_folders(model: Path) -> dict[int, Path]:
    """Returns the folders of the versions of a model by number, the newest last."""
    return {
        number: path
        for number, path in numbered_folders(model).items()
        if (path / "saved_model.pb").is_file()
    }
