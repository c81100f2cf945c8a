"""How the examples read the census records that come with the project."""

from pathlib import Path

import pandas as pd

DATA = Path(__file__).parent / "data" / "census_income"
# Numbers that name categories: their order means nothing.
CODES = [
    "industry_code",
    "occupation_code",
    "own_business_or_self_employed",
    "veterans_benefits",
    "year",
]


def read_census(rows=None):
    """Reads the records to train and to test on; codes become categories.

    Args:
        rows: How many rows of each file; all by default.

    Returns:
        Two frames, see `data/census_income/README.md`.
    """
    names = (DATA / "columns.txt").read_text().split()
    frames = [
        pd.read_csv(DATA / file, names=names, skipinitialspace=True, nrows=rows)
        for file in ("census-income.data.xz", "census-income.test.xz")
    ]
    return [frame.astype(dict.fromkeys(CODES, "category")) for frame in frames]
