"""`TabularFeatures`: what a training frame says about its columns."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_positive_integer, check_unique
from kmtl._typing import Config, Tensor
from kmtl.features._columns import (
    DATE_PARTS,
    CategoricalColumn,
    Column,
    DateColumn,
    NumericColumn,
    ScalarColumn,
    TextColumn,
    column_config,
    column_from_config,
)
from kmtl.features._convert import Array
from kmtl.features._encode import check_columns, check_frame, encode, raw_inputs
from kmtl.features._preprocessing import preprocessing_model
from kmtl.features._streaming import Settings, infer_columns
from kmtl.features._tally import Sampling


@dataclass(frozen=True, repr=False)
class TabularFeatures:
    """How the columns of a frame become numbers: plain data, found in training.

    Make one with `from_frame`. It is equal to another with the same columns, and
    `get_config` and `from_config` keep it exactly, through JSON too.

    How columns are found, served and encoded, by kind:

    * numeric: numbers, integers too, and durations in seconds. Served as `float64`, NaN
      for missing. A standardised number, and a code if some numbers recur.
    * boolean: truth values. Served as `int64`: 1, 0, and -1 for missing. A standardised
      number.
    * date: datetimes and ISO 8601 strings. Served as `float64` seconds since 1970, NaN
      for missing. Linear time, a number, and the codes of month, weekday and hour where
      they vary.
    * categorical: all other strings, and pandas categories. Served as `string`, empty
      for missing, or as `int64`, the smallest int64 for missing. A code: 0 is missing,
      1 not in the vocabulary.
    * text: strings of several words, mostly distinct. Served as `string`. The codes of
      the words.

    A missing number becomes the median, and a column with missing numbers in training
    gets a second channel that says so. Missing categories have a code of their own.
    Integer codes need not be named as categories: numbers that recur in 10 rows or more
    get an embedding, too. Integers are exact up to 2**53.

    Args:
        columns: What is known of each column, in the order of the training frame.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"age": [20, 41, 35], "city": ["Rome"] * 2 + ["Oslo"]})
        >>> features = TabularFeatures.from_frame(frame)
        >>> features
        TabularFeatures(numeric=['age'], categorical=['city'])
        >>> features.encode(frame)["categorical"].tolist()
        [[2], [2], [3]]
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        """Refuses columns that share a name, and none at all."""
        if not self.columns:
            raise ValueError(
                "`columns` must hold at least one column. Received: none, or none that "
                "varies in the training frame."
            )
        check_unique(self.names, "columns")

    @classmethod
    def from_frame(  # noqa: PLR0913 - one keyword a setting
        cls,
        frame: pd.DataFrame,
        *,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        boolean: Sequence[str] | None = None,
        date: Sequence[str] | None = None,
        text: Sequence[str] | None = None,
        exclude: Iterable[str] = (),
        max_vocabulary: int = 10_000,
        min_count: int | None = None,
        bins: int | None = None,
        drop_ids: bool = False,
    ) -> Self:
        """Finds out what the columns of a training frame are, and their statistics.

        Columns that are named for a kind are taken as that kind; the kinds of all
        others are found from their dtypes and values. Integers are numbers unless
        named as `categorical`. A column that holds one value only, or none, is left
        out with a warning.

        Args:
            frame: The training frame. Only it: statistics of validation or test rows
                must not get in.
            numeric: Columns to take as numbers.
            categorical: Columns to take as categories: strings or whole numbers.
            boolean: Columns to take as truth values.
            date: Columns to take as dates; strings must be ISO 8601.
            text: Columns to take as text.
            exclude: Columns to leave out, such as ids and labels.
            max_vocabulary: The most values (of a text column: words) that get an
                embedding of their own; rarer ones share the out-of-vocabulary code.
            min_count: Values that occur in fewer rows share that code, too. By default
                one for each 1,000 rows, at least 1 and at most 10.
            bins: The most bins of a number's piecewise linear encoding. By default 32,
                and fewer, down to 4, where the frame has more than 128 columns.
            drop_ids: Whether to leave out columns that are nearly unique; a warning
                names them otherwise. Never a column whose kind is named.

        Returns:
            The features.

        Raises:
            TypeError: If the frame is no DataFrame, a column name is no string, or a
                column mixes types or holds what its kind does not take.
            ValueError: If the frame is empty, has duplicate column names or infinite
                numbers, or if an argument names a column that it lacks.
        """
        check_frame(frame)
        settings = Settings(
            numeric=numeric,
            categorical=categorical,
            boolean=boolean,
            date=date,
            text=text,
            exclude=exclude,
            max_vocabulary=max_vocabulary,
            min_count=min_count,
            bins=bins,
            drop_ids=drop_ids,
        )
        return cls(infer_columns([frame], settings, Sampling()))

    @classmethod
    def from_stream(
        cls,
        frames: Iterable[pd.DataFrame],
        *,
        sample: int = 250_000,
        seed: int = 0,
        **settings: Any,
    ) -> Self:
        """Finds the same out of a table that comes in frames, in one pass.

        Where no column has more distinct values than `sample`, the result equals that
        of `from_frame` on all rows at once. Beyond that

        * counts, smallest and largest values, standard deviations, missing values and
          vocabularies stay exact, and so does the memory that a vocabulary needs while
          it is counted: exclude ids;
        * medians, bin edges and the numbers that recur are those of `sample` rows of
          the column, drawn with equal probability. The share of rows below any of them
          is within 0.33 % of the one that it stands for with 99 % probability for
          250,000 rows, `sqrt(ln(200) / (2 * sample))` in general;
        * whether strings are categories, texts or dates is decided on the rows until
          then, and whether numbers look like ids on the sample.

        Args:
            frames: The frames, such as a source of `kmtl.data.read_parquet`.
            sample: See above.
            seed: Seed of the sample.
            **settings: The keywords of `from_frame`.

        Returns:
            The features.

        Raises:
            TypeError: As `from_frame`, and if a column changes its type.
            ValueError: As `from_frame`, and if the frames have other columns than the
                first.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"age": [20, 41, 35], "city": ["Rome"] * 3})
            >>> frame.loc[2, "city"] = "Oslo"
            >>> halves = [frame.head(2), frame.tail(1)]
            >>> TabularFeatures.from_stream(halves) == TabularFeatures.from_frame(frame)
            True

        Reference:
            The error: Massart, "The Tight Constant in the Dvoretzky-Kiefer-Wolfowitz
            Inequality", 1990.
        """
        check_positive_integer(sample, "sample")
        sampling = Sampling(sample, seed)
        return cls(infer_columns(frames, Settings(**settings), sampling))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that are used, in the training frame's order."""
        return tuple(column.name for column in self.columns)

    @property
    def numeric_edges(self) -> tuple[tuple[float, ...], ...]:
        """For each channel of `"numeric"` its bin edges, empty if it has none."""
        scalars = [c for c in self.columns if isinstance(c, ScalarColumn)]
        edges = tuple(column.edges for column in scalars)
        return edges + ((),) * sum(column.indicator for column in scalars)

    @property
    def category_sizes(self) -> tuple[int, ...]:
        """For each slot of `"categorical"` its number of codes."""
        sizes = [c.size for c in self.columns if isinstance(c, CategoricalColumn)]
        numbers = [c for c in self.columns if isinstance(c, NumericColumn)]
        sizes += [c.size for c in numbers if c.values]
        dates = [c for c in self.columns if isinstance(c, DateColumn)]
        return tuple(sizes + [DATE_PARTS[p] + 1 for c in dates for p in c.parts])

    @property
    def text_sizes(self) -> tuple[int, ...]:
        """For each column of `"text"` its number of codes."""
        return tuple(c.size for c in self.columns if isinstance(c, TextColumn))

    def serving_dtypes(self) -> dict[str, str]:
        """Returns the TensorFlow type in which each raw column is served.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"age": [20, 41], "city": ["Rome", "Oslo"]})
            >>> TabularFeatures.from_frame(frame).serving_dtypes()
            {'age': 'float64', 'city': 'string'}
        """
        return {column.name: column.serving_dtype for column in self.columns}

    def preprocessing_model(self) -> keras.Model:
        """Builds the Keras model from raw columns to encoded arrays.

        Its inputs are a dict of one `(batch,)` tensor a column, keyed by name, of the
        types of `serving_dtypes()`. Its outputs are a dict with those keys that are
        used:

        * `"numeric"`, float32 `(batch, channels)`: numbers, truth values and times,
          standardised, then a channel for each column with missing values in training;
        * `"categorical"`, int32 `(batch, slots)`: the codes of categories, then of
          numbers that recur, then of the calendar parts of dates;
        * `"text"`, int32 `(batch, columns, words)`: the codes of words, 0 after the
          last one.

        The model has no weights; one built from the same features is the same.
        """
        return preprocessing_model(self.columns)

    def raw_inputs(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Converts a frame to what the preprocessing model, and a server, takes.

        Args:
            frame: Any frame with the columns of the training frame; others are ignored.

        Returns:
            One TensorFlow tensor of shape `(batch,)` a column, of the type of
            `serving_dtypes()`.

        Raises:
            TypeError: If a column holds something else than in the training frame.
            ValueError: If a column is missing, or a number is infinite.
        """
        self._check(frame)
        return raw_inputs(self.columns, frame)

    def encode(self, frame: pd.DataFrame, batch_size: int = 16_384) -> dict[str, Array]:
        """Runs the preprocessing model over a frame.

        Args:
            frame: As for `raw_inputs`.
            batch_size: Rows at once; bounds the memory that is used on the way.

        Returns:
            The encoded arrays, as of `preprocessing_model()`.

        Raises:
            TypeError: As `raw_inputs`.
            ValueError: As `raw_inputs`.
        """
        self._check(frame)
        check_positive_integer(batch_size, "batch_size")
        run = self._traced if len(frame) > batch_size else self._model
        return encode(run, self._model.output, self.columns, frame, batch_size)

    def encoded_inputs(self) -> dict[str, keras.KerasTensor]:
        """Returns a fresh `keras.Input` for each encoded array, named by its key."""
        return {
            key: keras.Input(spec.shape[1:], dtype=spec.dtype, name=key)
            for key, spec in self._model.output.items()
        }

    def get_config(self) -> Config:
        """Returns everything as plain data, which JSON keeps exactly."""
        return {"columns": [column_config(column) for column in self.columns]}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Rebuilds the features from `get_config`."""
        return cls(tuple(column_from_config(column) for column in config["columns"]))

    def __repr__(self) -> str:
        """Names the columns by kind; vocabularies can be long."""
        kinds: dict[str, list[str]] = {column.kind: [] for column in self.columns}
        for column in self.columns:
            kinds[column.kind].append(column.name)
        return f"TabularFeatures({', '.join(f'{k}={v}' for k, v in kinds.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles the data only, not the preprocessing model."""
        return type(self).from_config, (self.get_config(),)

    @functools.cached_property
    def _model(self) -> keras.Model:
        return self.preprocessing_model()

    @functools.cached_property
    def _traced(self) -> Any:
        # Tracing takes as long as it saves on 200,000 rows, so only once and for many.
        return tf.function(self._model, reduce_retracing=True, autograph=False)

    def _check(self, frame: pd.DataFrame) -> None:
        check_frame(frame)
        check_columns(frame, self.names)
