"""Tasks whose relations are known."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
import pandas as pd

from kmtl._checks import check_unique, shorten
from kmtl._typing import Config, Tensor
from kmtl.regularizers._base import TaskRegularizer
from kmtl.regularizers._weights import (
    as_stack,
    check_count,
    check_covers,
    quadratic,
    tasks_of,
)


@keras.saving.register_keras_serializable(package="kmtl")
class GraphLaplacian(TaskRegularizer):
    """Squared distances of the weights of tasks, weighted by a graph of tasks.

    `1/2 sum_{s,t} A_st ||w_s - w_t||^2`, over both orders of each pair, which is
    `tr(W' L W)` with the Laplacian `L = diag(A 1) - A`.

    Args:
        strength: Factor of the penalty, at least 0.
        graph: The weights `A` of the edges, at least 0: a symmetric `DataFrame` by
            task name, a dict such as `{("a", "b"): 1.0}`, where pairs left out have no
            edge, or a symmetric array in the order of the tasks. A diagonal has no
            effect. By default all pairs with `1 / tasks`, which is `MeanL2`. Names
            beyond the tasks of the weights are left out.
        tasks: Names of the tasks in the order of the weights. `kmtl.sharing.Soft`
            fills it in.

    Raises:
        ValueError: If the graph is not symmetric, has a negative weight or does not
            name every task; an edge of weight 0 names one that stands alone.

    Example:
        >>> import kmtl, numpy as np
        >>> regularizer = kmtl.regularizers.GraphLaplacian(
        ...     graph={("a", "b"): 1.0, ("b", "c"): 0.5}, tasks=["a", "b", "c"]
        ... )
        >>> round(float(regularizer.penalty(np.array([[1.0], [3.0], [5.0]]))), 6)
        6.0

    Reference:
        Evgeniou, Micchelli and Pontil, "Learning Multiple Tasks with Kernel Methods",
        JMLR 6, 2005, https://www.jmlr.org/papers/v6/evgeniou05a.html, section 3.1.3.
    """

    def __init__(
        self,
        strength: float = 1e-3,
        *,
        graph: Any = None,
        tasks: Sequence[str] | None = None,
    ) -> None:
        super().__init__(strength)
        self.tasks = None if tasks is None else tuple(tasks)
        self.graph = None if graph is None else _checked(graph, self.tasks)

    def penalty(self, weights: Tensor) -> Tensor:
        stack = as_stack(weights)
        return quadratic(_laplacian_root(self._adjacency(stack)), stack)

    def _adjacency(self, stack: Tensor) -> np.ndarray:
        tasks = stack.shape[0]
        if self.graph is None:
            return np.full((tasks, tasks), 1.0 / tasks)
        if isinstance(self.graph, pd.DataFrame):
            tasks_of(stack, self.tasks, "graph")
            return self.graph.to_numpy()
        check_count(stack, len(self.graph), subject="weights", by="graph")
        return self.graph

    def for_tasks(self, names: Sequence[str]) -> Self:
        """Returns the regularizer for weights of these tasks, in this order."""
        return type(self)(self.strength, graph=self.graph, tasks=names)

    def get_config(self) -> Config:
        """Returns the arguments of the constructor; a graph by name as a dict."""
        graph: Any = self.graph
        if isinstance(graph, pd.DataFrame):
            graph = {"names": list(graph), "weights": graph.to_numpy().tolist()}
        elif graph is not None:
            graph = graph.tolist()
        tasks = None if self.tasks is None else list(self.tasks)
        return {**super().get_config(), "graph": graph, "tasks": tasks}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the regularizer from what `get_config` returns."""
        graph = config["graph"]
        if isinstance(graph, dict):
            names = graph["names"]
            graph = pd.DataFrame(graph["weights"], index=names, columns=names)
        return cls(**{**config, "graph": graph})


def _checked(graph: Any, tasks: Sequence[str] | None) -> np.ndarray | pd.DataFrame:
    """Returns a table by name where names are known, in the order of `tasks`."""
    if isinstance(graph, Mapping):
        graph = _from_edges(graph)
    if not isinstance(graph, pd.DataFrame):
        graph = _symmetric(graph)
        if tasks is None:
            return graph
        check_count(graph, len(tasks), subject="graph", by="tasks")
        return pd.DataFrame(graph, index=list(tasks), columns=list(tasks))
    _check_names(graph)
    known: list[Any] = list(graph)
    names = known if tasks is None else list(tasks)
    check_covers(names, known, "graph")
    values = _symmetric(graph.loc[names, names])
    return pd.DataFrame(values, index=names, columns=names)


def _check_names(graph: pd.DataFrame) -> None:
    rows, columns = list(graph.index), list(graph)
    check_unique(columns, "graph")
    if sorted(map(str, rows)) != sorted(map(str, columns)):
        raise ValueError(
            "`graph` must have the same names as rows and as columns. Received: "
            f"rows={shorten(rows)}, columns={shorten(columns)}."
        )


def _from_edges(edges: Mapping[Any, Any]) -> pd.DataFrame:
    for pair in edges:
        is_pair = isinstance(pair, tuple) and len(pair) == 2
        if not is_pair or (pair[0] != pair[1] and pair[::-1] in edges):
            raise ValueError(
                "`graph` must be by pairs of task names, such as {('a', 'b'): 1.0}, "
                f"each pair once. Received: {pair!r}."
            )
    names = list(dict.fromkeys(name for pair in edges for name in pair))
    table = pd.DataFrame(0.0, index=names, columns=names)
    for (one, other), weight in edges.items():
        table.loc[one, other] = table.loc[other, one] = weight
    return table


def _symmetric(graph: Any) -> np.ndarray:
    try:
        array = np.asarray(graph, dtype="float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`graph` must be a table of numbers, (tasks, tasks). Received: {graph!r}."
        ) from error
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            "`graph` must have finite weights of at least 0. Received: weights from "
            f"{array.min()} to {array.max()}."
        )
    is_square = array.ndim == 2 and array.shape[0] == array.shape[1]
    if not is_square or not np.allclose(array, array.T):
        raise ValueError(
            "`graph` must be symmetric, (tasks, tasks). Received: "
            f"shape={array.shape}. `(A + A.T) / 2` makes a square table symmetric."
        )
    return array


def _laplacian_root(adjacency: np.ndarray) -> np.ndarray:
    """Returns a matrix `R` such that `R' R` is the Laplacian of a graph."""
    laplacian = np.diag(adjacency.sum(axis=1)) - adjacency
    values, vectors = np.linalg.eigh(laplacian)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
