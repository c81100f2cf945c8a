"""The relation between tasks that a model has learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import shorten
from kmtl.analysis._check_model import check_model
from kmtl.analysis._head_relation import head_relation
from kmtl.analysis._relation_plot import plot_relations
from kmtl.layers import (
    AddOwnExperts,
    AttentionMask,
    MixStages,
    ModulateTasks,
    SelectExperts,
    SharedGate,
    SharingWeights,
    StitchTasks,
    TaskGate,
)
from kmtl.layers._stacked import owner_of
from kmtl.model import MTLModel
from kmtl.regularizers import TaskCovariance

# They show weights too, but none that relate tasks.
_NO_RELATION = (SharedGate, AddOwnExperts, MixStages)
_MEANINGS: tuple[tuple[Any, str], ...] = (
    (
        (TaskGate, SelectExperts),
        "cosine of the tasks' mean gates over the experts; experts of a task's own are "
        "not in common",
    ),
    (
        StitchTasks,
        "cosine of what the tasks take of each tower; 0 if each takes its own only",
    ),
    (AttentionMask, "cosine of the tasks' mean attention masks"),
    (ModulateTasks, "cosine of the tasks' scales and shifts; 1 before training"),
    (SharingWeights, "cosine of the tasks' rows of the sharing weights"),
)
_OF_HEADS = (
    "cosine of the kernels of the heads, hidden layers multiplied without activations; "
    "no sign where a task has several outputs"
)


@dataclass(frozen=True, eq=False)
class TaskRelations:
    """What a model has learned of how its tasks relate.

    Attributes:
        relation: A frame of tasks by tasks, from -1 (opposed) over 0 (nothing in
            common) to 1 (the same); the mean over the layers. NaN where two tasks
            cannot be compared.
        meaning: What the numbers are, in words.
        layers: What they are made of, by layer: mean gates, stitches, masks, as
            `model.sharing_weights` has them; covariances of towers, or cosines of their
            weights. Empty where heads are compared.
    """

    relation: pd.DataFrame
    meaning: str
    layers: Mapping[str, pd.DataFrame]

    def plot(self, path: str | Path | None = None) -> Any:
        """Draws the relation, and what it is made of; needs the extra `plot`.

        Args:
            path: Where to save the picture; nowhere by default.

        Returns:
            The `matplotlib.figure.Figure`: heat maps, grey where nothing is known, of
            the relation and of at most five layers.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        figure = plot_relations(self.relation, self.meaning, self.layers)
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure


def task_relations(model: MTLModel, data: Any = None) -> TaskRelations:
    """Reads the relation between tasks off the weights of a trained model.

    What is read depends on the sharing.

    * Gates (`MMoE`, `DSelectK`, `CGC`, `PLE`, `AdaTT`): how alike the experts are that
      tasks use. Two gates with one mean may still choose differently row by row.
    * Stitches (`CrossStitch`, `Sluice`): how alike the mixtures of towers are.
    * Masks (`MTAN`) and modulations (`FiLM`): how alike they are.
    * Towers (`Soft`): the correlation that `TaskCovariance` implies, and with other
      penalties the cosine of the coupled weights. Towers start equal, so it starts at 1
      and falls.
    * Anything else, such as `Hard`: the cosine of the heads, as linear maps from the
      representation that they share. A hidden layer of a head counts as if it had no
      activation. Where a task has several outputs, it is the square root of the RV
      coefficient, which is the size of the cosine where both have one.

    A relation is no affinity: tasks may use the same experts and still harm each other.

    Args:
        model: The model, trained.
        data: Inputs as for `predict`, where gates or masks depend on them: their means
            over the rows are compared. Not looked at elsewhere.

    Returns:
        The relation, its meaning and its parts.

    Raises:
        TypeError: If `model` is no `MTLModel`.
        ValueError: If there is one task only, `data` is missing, or no two tasks can be
            compared: heads of their own, or attached at different places.

    Reference:
        Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016; Ma et
        al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
        Mixture-of-Experts", KDD 2018, figure 7; Zhang and Yeung, UAI 2010,
        https://arxiv.org/abs/1203.3536. Robert and Escoufier, "A Unifying Tool for
        Linear Multivariate Statistical Methods: The RV-Coefficient", 1976. There gates
        and stitches are shown; their cosines are ours.

    Example:
        >>> import kmtl
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> model = kmtl.build_mtl_model((8,), tasks, sharing=kmtl.sharing.Soft())
        >>> kmtl.analysis.task_relations(model).relation.round(3)
             a    b
        a  1.0  1.0
        b  1.0  1.0
    """
    check_model(model)
    if len(model.tasks) < 2:
        raise ValueError(
            "`model` must have at least two tasks. Received: "
            f"{shorten(model.task_names)}."
        )
    layers = [layer for layer in model.layers if isinstance(layer, SharingWeights)]
    layers = [layer for layer in layers if not isinstance(layer, _NO_RELATION)]
    if layers:
        return _of_sharing_weights(model, layers, data)
    if model.towers is not None:
        return _of_towers(model)
    return _of_heads(model)


def _of_sharing_weights(model: MTLModel, layers: list[Any], data: Any) -> TaskRelations:
    if data is None and any(layer.depends_on_inputs for layer in layers):
        raise ValueError(
            f"`data` is needed: the weights of {layers[0].name!r} depend on the "
            "inputs. Pass rows as for `predict`."
        )
    frames = model.sharing_weights(data)
    used = {layer.name: frames[layer.name] for layer in layers}
    meaning = next(text for kinds, text in _MEANINGS if isinstance(layers[0], kinds))
    by_layer = {name: _cosine_of_rows(frame) for name, frame in used.items()}
    return TaskRelations(_mean(model, by_layer), meaning, used)


def _cosine_of_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Compares what tasks take; several rows of a task count as their mean."""
    rows = frame.groupby(lambda name: owner_of(str(name))).mean()
    # A column such as "(own)/0" is another one for each task.
    is_common = [not str(name).startswith("(own)") for name in frame.columns]
    common, all_of_them = rows.to_numpy()[:, is_common], rows.to_numpy()
    lengths = np.linalg.norm(all_of_them, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = common @ common.T / np.outer(lengths, lengths)
    np.fill_diagonal(cosine, 1.0)
    return pd.DataFrame(cosine, rows.index, rows.index)


def _of_towers(model: MTLModel) -> TaskRelations:
    towers: Any = model.towers
    if isinstance(towers.coupling.regularizer, TaskCovariance):
        covariances = model.task_covariance()
        by_layer = {name: _correlation(frame) for name, frame in covariances.items()}
        meaning = "correlation of the tasks that the penalty on the towers implies"
        return TaskRelations(_mean(model, by_layer), meaning, covariances)
    by_layer = {w.name: _correlation(_products(w)) for w in towers.weights}
    meaning = "cosine of the weights of the towers; 1 before training"
    return TaskRelations(_mean(model, by_layer), meaning, by_layer)


def _products(weight: Any) -> pd.DataFrame:
    """The inner products of the slices of a stacked weight."""
    rows = np.asarray(weight.tensor, "float64").reshape(len(weight.tasks), -1)
    return pd.DataFrame(rows @ rows.T, weight.tasks, weight.tasks)


def _correlation(covariance: pd.DataFrame) -> pd.DataFrame:
    values = covariance.to_numpy()
    deviations = np.sqrt(np.diag(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = values / np.outer(deviations, deviations)
    return pd.DataFrame(values, covariance.index, covariance.columns)


def _mean(model: MTLModel, by_layer: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The mean over layers, each of some of the tasks; NaN where none has a pair."""
    names = model.task_names
    frames = [f.reindex(index=names, columns=names) for f in by_layer.values()]
    mean = pd.concat(frames).groupby(level=0).mean().loc[names]
    return mean.clip(-1.0, 1.0)


def _of_heads(model: MTLModel) -> TaskRelations:
    relation = head_relation(model).clip(-1.0, 1.0)
    of_pairs = relation.to_numpy()[~np.eye(len(relation), dtype=bool)]
    if np.isnan(of_pairs).all():
        raise ValueError(
            "`model` must share in a way that relates its tasks: by gates, stitches, "
            "towers, or heads built by kmtl on one representation. Received: heads of "
            f"{shorten(model.task_names)} that are attached at different places or are "
            "the tasks' own (`head=`)."
        )
    return TaskRelations(relation, _OF_HEADS, {})
