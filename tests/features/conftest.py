"""Frames that the tests of the features share."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def frame():
    """Sixty rows with a column of each kind, missing values in all but `id`."""
    rows = np.arange(60)
    frame = pd.DataFrame(
        {
            "age": np.where(rows % 7 == 3, np.nan, 20.0 + rows % 40),
            "gain": np.where(rows % 5, 0.0, 10.0 ** (rows / 10)),
            "member": pd.array(rows % 3 == 0, dtype="boolean"),
            "born": pd.date_range("1990-01-31", periods=60, freq="37D"),
            "city": np.array(["Oslo", "Rome", "Paris", ""], dtype=object)[rows % 4],
            "code": pd.Categorical(rows % 6 * 10),
            "note": [f"The film no. {i} wasn't good" for i in rows],
        }
    )
    frame.loc[[4, 9], ["member", "born", "code", "note"]] = None
    return frame
