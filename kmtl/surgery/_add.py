"""A trained model with one more task."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import keras

from kmtl._checks import check_choice, check_positive, shorten
from kmtl._distillation import Distillation
from kmtl._head_groups import HeadGroup, group_of
from kmtl._heads import Heads
from kmtl.builder import check_no_leak
from kmtl.layers import StackedLayer
from kmtl.layers._per_task import draw_seed
from kmtl.layers._stacked import owner_of
from kmtl.model import MTLModel
from kmtl.surgery._rebuild import Rebuild, representation_of
from kmtl.surgery._slices import added, unchanged
from kmtl.tasks import Task, check_tasks

Training: TypeAlias = Literal["head", "tower", "all"]


def add_task(
    model: MTLModel,
    task: Task,
    *,
    train: Training | None = None,
    distill: float | None = None,
) -> MTLModel:
    """Returns a model with one more task, which comes last.

    All that the model has learned is copied: the predictions of the other tasks are
    equal bit by bit until something that they depend on is trained, and the optimizer
    goes on with what it kept for them. (Compiled by XLA, the first layer of towers may
    round them differently, as it may for batches of another size.) The model given
    stays as it is.

    The new task has its own head, and where the sharing gives it some, a tower, experts
    or a gate of its own: with soft sharing they start at the mean of the others, else
    they are drawn. What other tasks get is not changed by them: stitches to them start
    at 0.

    `model.set_trainable` changes later what is trained; to train everything::

        for name in (None, *model.task_names):
            model.set_trainable(name, True)

    Args:
        model: The model. It may come from a file.
        task: The new task. As there is no frame to find them in, a `MulticlassTask`
            needs `classes=`. Without `head_units` its head is like those of the others.
        train: What `fit` trains afterwards.

            * `"head"`: the new head on the shared representation. Nothing else moves,
              and the encoder runs as in predictions. Default where all tasks share the
              representation.
            * `"tower"`: all that belongs to the new task alone. With soft sharing its
              tower is drawn to the others, which are held still. Default where tasks
              have representations of their own.
            * `"all"`: everything.
        distill: With `"all"`, factor of a loss that keeps the outputs of the other
            tasks near those of `model` on every row, labelled or not: learning without
            forgetting. 1 is the paper's. Logged as `distillation_loss`. `model` must
            not be trained meanwhile; it is not saved, so a loaded model goes on without
            this loss.

    Returns:
        A new model, compiled like the old one.

    Raises:
        ValueError: If the task does not fit the model, or an argument the sharing.
            Where a gate weighs the experts of all tasks against each other (`AdaTT`,
            `PLE` with several levels) there is no place for another task.
        TypeError: If an argument is of a kind that is not supported.

    Example:
        >>> import kmtl, numpy as np
        >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
        >>> larger = kmtl.add_task(model, kmtl.BinaryTask("b"))
        >>> x = np.zeros((4, 8))
        >>> bool(np.all(larger(x)["a"] == model(x)["a"])), list(larger(x))
        (True, ['a', 'b'])

    Reference:
        Li and Hoiem, "Learning without Forgetting", ECCV 2016,
        https://arxiv.org/abs/1606.09282, for `distill`. Differs in that the outputs to
        keep are computed in each step and not once, and that numbers are kept by their
        squared distance in standard deviations.
    """
    if not isinstance(model, MTLModel):
        raise TypeError(f"`model` must be an MTLModel. Received: {model!r}.")
    tasks = check_tasks([*model.tasks, task])
    check_no_leak(model.features, [task])
    _check_distill(distill, train)
    _check_room(model, task)
    rebuild = _rebuild(model, tasks)
    larger = rebuild.finish(_heads(model, tasks, rebuild))
    _set_training(larger, train)
    if distill is not None:
        larger.distillation = Distillation(model, distill)
        larger.compile()
    return larger


def _check_distill(distill: float | None, train: Training | None) -> None:
    if distill is None:
        return
    check_positive(distill, "distill")
    if train != "all":
        raise ValueError(
            "`distill` keeps what other tasks have learned while everything is "
            f"trained: give it with train='all'. Received: train={train!r}."
        )


def _check_room(model: MTLModel, task: Task) -> None:
    for layer in model.encoder.layers:
        if isinstance(layer, StackedLayer) and not layer.has_room:
            raise ValueError(
                f"`add_task` has no place for task {task.name!r}: {layer.name!r} "
                "weighs the experts of all tasks against each other, so the other "
                "tasks would change. Build and train a model with all tasks."
            )


def _rebuild(model: MTLModel, tasks: Sequence[Task]) -> Rebuild:
    new = tasks[-1].name
    try:
        rebuild = Rebuild(
            model,
            tasks,
            encoder=added(model.task_names, new),
            heads=unchanged,
            groups={group: group for group in model.outputs_layer.groups},
        )
    except ValueError as error:
        raise ValueError(
            f"`add_task` cannot fit the sharing of the model to task {new!r}: {error} "
            "Build and train a model with all tasks."
        ) from error
    mark = rebuild.new(representation_of(model))
    if mark.tasks is not None and new not in mark.tasks:
        raise ValueError(
            f"`add_task` finds no slice of the representation for task {new!r}: no "
            f"task has one alone. Received slices: {shorten(mark.tasks)}. Build and "
            "train a model with all tasks."
        )
    return rebuild


def _heads(model: MTLModel, tasks: Sequence[Task], rebuild: Rebuild) -> Heads:
    mark = rebuild.new(representation_of(model))
    heads = Heads(tasks, [mark] * len(tasks), seed=draw_seed(), given=rebuild.given)
    for group, logits in rebuild.kept.items():
        heads.keep(group, logits)
    # A group of its own: in another one it would change the shape of a product, and
    # with it the rounding of the others.
    heads.add(group_of(tasks, len(tasks) - 1, _head_units(model)))
    _check_names(rebuild, heads)
    return heads


def _head_units(model: MTLModel) -> Sequence[int]:
    """Widths of the hidden layers of heads that did not say their own."""
    groups: Sequence[HeadGroup] = model.outputs_layer.groups
    return next(
        (
            group.hidden
            for group in groups
            for task in group.members(model.tasks)
            if not group.own and task.head_units is None
        ),
        (),
    )


def _check_names(rebuild: Rebuild, heads: Heads) -> None:
    known = {layer.name: layer for layer in rebuild.layers}
    for layer in keras.Model(rebuild.input, heads.logits[-1]).layers:
        if known.get(layer.name, layer) is not layer:
            raise ValueError(
                f"The head of the new task has a layer {layer.name!r}, and so has the "
                "model. Give it a name of its own: "
                f"`keras.layers.{type(layer).__name__}(..., name=...)`."
            )


def _set_training(model: MTLModel, train: Training | None) -> None:
    stacks = [la for la in model.encoder.layers if isinstance(la, StackedLayer)]
    owners = {owner_of(name) for layer in stacks for name in layer.tasks}
    own: Training = "tower" if model.task_names[-1] in owners else "head"
    chosen = own if train is None else train
    check_choice(chosen, (own, "all"), "train")
    for name in (None, *model.task_names[:-1]):
        model.set_trainable(name, chosen == "all")
