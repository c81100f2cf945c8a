"""A trained model with one task less."""

from collections.abc import Sequence

from keras import ops

from kmtl._checks import check_known_keys, shorten
from kmtl._heads import Heads
from kmtl.layers import StackedLayer, TakeTasks
from kmtl.layers._stacked import owner_of
from kmtl.model import MTLModel
from kmtl.surgery._rebuild import Rebuild, moved_group, representation_of
from kmtl.surgery._slices import SliceChange, disowned, removed
from kmtl.tasks import Task, check_tasks


def remove_task(model: MTLModel, name: str) -> MTLModel:
    """Returns a model with one task less.

    The predictions of the other tasks are equal bit by bit, and the optimizer goes on
    with what it kept for them. The model given stays as it is. What belonged to the
    task alone is gone, except for a tower or an expert that other tasks take from
    (stitches that are not 0, gates over the experts of all tasks): that stays, as
    nobody's. Where only that task was trained, everything is trained again.

    Args:
        model: The model. It may come from a file.
        name: Name of the task.

    Returns:
        A new model, compiled like the old one.

    Raises:
        ValueError: If there is no such task, no other one that is predicted, or one
            that refers to it.
        TypeError: If `model` is no `MTLModel`.

    Example:
        >>> import kmtl
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> model = kmtl.build_mtl_model((8,), tasks)
        >>> kmtl.remove_task(model, "a").task_names
        ['b']
    """
    if not isinstance(model, MTLModel):
        raise TypeError(f"`model` must be an MTLModel. Received: {model!r}.")
    tasks = _others(model, name)
    gone = model.task_names.index(name)
    places = {i: i - (i > gone) for i in range(len(model.tasks)) if i != gone}
    groups = model.outputs_layer.groups
    rebuild = Rebuild(
        model,
        tasks,
        encoder=_change(model, name),
        heads=removed(name),
        groups={g: moved_group(g, places) for g in groups if g.indices != (gone,)},
    )
    mark = rebuild.new(representation_of(model))
    heads = Heads(tasks, [mark] * len(tasks), seed=0, given=rebuild.given)
    for group, logits in rebuild.kept.items():
        heads.keep(group, logits)
    smaller = rebuild.finish(heads)
    _train_something(smaller)
    return smaller


def _train_something(model: MTLModel) -> None:
    """Unfreezes everything where only the task that is gone was trained."""
    layer = model.outputs_layer
    states = [
        *ops.convert_to_numpy(layer.frozen),
        *ops.convert_to_numpy(layer.frozen_shared),
    ]
    if all(states):
        for name in (None, *model.task_names):
            model.set_trainable(name, True)


def _others(model: MTLModel, name: str) -> tuple[Task, ...]:
    """Returns the tasks that stay, or raises if they cannot do without this one."""
    check_known_keys([name], model.task_names, "name")
    tasks = [task for task in model.tasks if task.name != name]
    if all(task.auxiliary for task in tasks):
        raise ValueError(
            "A model needs a task that is predicted. "
            f"Received: name={name!r}, of the tasks {shorten(model.task_names)}."
        )
    users = [t.name for t in tasks if name in (*t.parents, t.only_if)]
    if users:
        raise ValueError(
            f"Task {name!r} cannot be removed: {shorten(users)} refer to it by "
            "`condition_on`, `only_if` or `factors`. Remove them first."
        )
    return check_tasks(tasks)


def _change(model: MTLModel, name: str) -> SliceChange:
    """Returns the change that drops the slices of a task, or disowns those in use."""
    slices: Sequence[str] = representation_of(model).tasks or ()
    is_used = any(_is_used(layer, name) for layer in model.encoder.layers)
    return disowned(name, slices) if is_used else removed(name)


def _is_used(layer: object, name: str) -> bool:
    if isinstance(layer, TakeTasks):  # its slices are places of tasks, not all by name
        return any(owner_of(taken) not in layer.tasks for taken in layer.taken) or len(
            set(layer.taken)
        ) < len(layer.taken)
    return isinstance(layer, StackedLayer) and layer.is_read(name)
