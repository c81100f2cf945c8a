"""A model made anew for other tasks, with the weights of what stays."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from kmtl._head_groups import HeadGroup, conditions
from kmtl._heads import Heads
from kmtl._typing import Config, Tensor
from kmtl.layers import (
    Condition,
    Coupling,
    NothingGiven,
    Representation,
    StackedLayer,
    TakeTasks,
    TaskModel,
    TaskOutputs,
)
from kmtl.model import MTLModel
from kmtl.surgery._optimizer import copied_optimizer, copy_optimizer_state
from kmtl.surgery._slices import SliceChange, changed_slices
from kmtl.tasks import Task

# What `TaskOutputs` keeps for each task.
_BY_TASK = ("loss_weights", "label_mean", "label_scale", "frozen")


class Rebuild:
    """The layers of a model, made anew for other tasks.

    Args:
        model: The model, which stays as it is.
        tasks: The tasks of the new one.
        encoder: What becomes of slices in the encoder.
        heads: What becomes of slices in the heads.
        groups: The head groups that stay; by the old group the new one.

    Raises:
        ValueError: If the sharing does not fit the tasks.
    """

    def __init__(
        self,
        model: MTLModel,
        tasks: Sequence[Task],
        *,
        encoder: SliceChange,
        heads: SliceChange,
        groups: Mapping[HeadGroup, HeadGroup],
    ) -> None:
        self._model = model
        self._tasks = tuple(tasks)
        self._encoder, self._heads = encoder, heads
        self._in_encoder = {id(layer) for layer in model.encoder.layers}
        self._slices = representation_of(model).tasks
        self._stems = {old.stem: new.stem for old, new in groups.items()}
        self._pairs: dict[int, tuple[Any, Any]] = {}
        layer = model.outputs_layer
        every = zip(layer.groups, keras.tree.flatten(layer.input), strict=True)
        kept = {groups[old]: logits for old, logits in every if old in groups}
        old = keras.Model(model.input, [*_marked(model), *kept.values()])
        graph = keras.models.clone_model(old, clone_function=self._remade)
        self.input = graph.input
        logits = list(graph.output)[-len(kept) :]
        self.kept = dict(zip(kept, logits, strict=True))

    def new(self, layer: keras.layers.Layer) -> Any:
        """Returns the new layer in place of one of the model."""
        return self._pairs[id(layer)][1]

    @property
    def layers(self) -> list[Any]:
        """The new layers."""
        return [new for _, new in self._pairs.values()]

    @property
    def given(self) -> Tensor | None:
        """Where a training step puts labels, if the model has such a place."""
        found = [layer for layer in self.layers if isinstance(layer, NothingGiven)]
        return found[0].output if found else None

    def _remade(self, layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):  # an operation has no state
            return layer
        if id(layer) not in self._pairs:
            new = type(layer).from_config(self._config(layer))
            self._pairs[id(layer)] = (layer, new)
        return self._pairs[id(layer)][1]

    def _config(self, layer: keras.layers.Layer) -> Config:
        config = layer_config(layer)
        if isinstance(layer, Coupling):
            names = self._encoder(self._slices or ())
            regularizer = layer.regularizer.for_tasks(names)
            config["regularizer"] = keras.saving.serialize_keras_object(regularizer)
        if id(layer) in self._in_encoder:
            return _in_encoder(layer, config, self._encoder)
        return self._in_heads(layer, config)

    def _in_heads(self, layer: keras.layers.Layer, config: Config) -> Config:
        config["name"] = self._renamed(layer.name)
        if isinstance(layer, NothingGiven):
            config["columns"] = len(conditions(self._tasks))
        if isinstance(layer, Condition):
            config["columns"] = [self._column(place) for place in layer.columns]
        of_head = slices_in_heads(layer, self._slices, self._encoder, self._heads)
        return {**config, **of_head}

    def _renamed(self, name: str) -> str:
        """The name of a head's layer starts with the place of its group."""
        for old, new in self._stems.items():
            if name.startswith(f"{old}_"):
                return new + name.removeprefix(old)
        return name

    def _column(self, place: int) -> int:
        """The new place of a column of labels given."""
        old = self._model.tasks
        name = old[conditions(old)[place]].name
        return [self._tasks[i].name for i in conditions(self._tasks)].index(name)

    def finish(self, heads: Heads) -> MTLModel:
        """Makes the model from its heads, and copies what stays into it."""
        old = self._model
        layer = TaskOutputs(self._tasks, heads.groups, old.features, name="outputs")
        model = MTLModel(self.input, layer(heads.logits), name=old.name)
        for theirs, ours in self._pairs.values():
            _copy_weights(theirs, ours)
        _copy_states(old.outputs_layer, layer)
        if old.compiled:
            self._compile(model)
        return model

    def _compile(self, model: MTLModel) -> None:
        """Compiles like the old model; optimizer and balancing go on from there."""
        old = self._model
        settings = {
            **old.get_compile_config(),
            "optimizer": copied_optimizer(old.optimizer),
            "balancing": old.balancing.for_tasks(model.task_names),
        }
        model.compile(**settings)
        state, before = model.balancing_state, old.balancing_state
        if state is not None and before is not None:
            state.carry(before)
        if old.optimizer.built:
            model.optimizer.build(model.trainable_variables)
            pairs = list(self._pairs.values())
            copy_optimizer_state(old.optimizer, model.optimizer, pairs)


def representation_of(model: MTLModel) -> Representation:
    """The mark where a new head is attached: behind the whole trunk."""
    return max(
        model.marks, key=lambda m: len(keras.Model(model.input, m.output).layers)
    )


def moved_group(group: HeadGroup, places: Mapping[int, int]) -> HeadGroup:
    """Returns a head group with new positions of its tasks.

    Args:
        group: The group.
        places: By old position the new one; tasks that are not in it are dropped.
    """
    indices = tuple(places[i] for i in group.indices if i in places)
    parents = tuple(places[i] for i in group.parents)
    return dataclasses.replace(group, indices=indices, parents=parents)


def _marked(model: MTLModel) -> list[Tensor]:
    return [mark.output for mark in model.marks]


def layer_config(layer: keras.layers.Layer) -> Config:
    """Returns the config of a layer, from which another one is made at once."""
    config = layer.get_config()
    if isinstance(layer, TaskModel):
        config["template"] = layer.template  # with its values
    return config


def slices_in_heads(
    layer: keras.layers.Layer,
    slices: Sequence[str] | None,
    encoder: SliceChange,
    heads: SliceChange,
) -> Config:
    """Returns the entries of a head layer's config that name slices, changed.

    Args:
        layer: A layer behind the representation.
        slices: Names of the slices of the representation, if it has any.
        encoder: What becomes of those.
        heads: What becomes of the slices of heads.
    """
    changed: Config = {}
    if isinstance(layer, StackedLayer | TakeTasks):
        of_encoder = isinstance(layer, TakeTasks) and layer.tasks == slices
        changed["tasks"] = (encoder if of_encoder else heads)(layer.tasks)
    if isinstance(layer, TakeTasks) and not isinstance(layer.taken, str):
        changed["taken"] = heads(layer.taken)
    return changed


def _in_encoder(
    layer: keras.layers.Layer, config: Config, change: SliceChange
) -> Config:
    changed = changed_slices(config, change)
    if isinstance(layer, TakeTasks):
        # Not `change(taken)`: what is taken for a new task comes last, like the task.
        taken = [name for old in layer.taken for name in change([old])[:1]]
        grown = len(changed["tasks"]) > len(layer.tasks)
        new = [n for n in changed["tasks"] if n not in layer.tasks] if grown else []
        changed["taken"] = [*taken, *new]
    return {**config, **changed}


def _copy_weights(theirs: keras.layers.Layer, ours: keras.layers.Layer) -> None:
    if isinstance(ours, StackedLayer) and len(ours.tasks) != len(theirs.tasks):
        ours.copy_slices(theirs)
        return
    for source, target in zip(theirs.variables, ours.variables, strict=True):
        target.assign(source)


def _copy_states(theirs: TaskOutputs, ours: TaskOutputs) -> None:
    places = {task.name: place for place, task in enumerate(theirs.tasks)}
    for name in _BY_TASK:
        old, new = getattr(theirs, name), getattr(ours, name)
        values = ops.convert_to_numpy(new).copy()
        for place, task in enumerate(ours.tasks):
            if task.name in places:
                values[place] = ops.convert_to_numpy(old)[places[task.name]]
        new.assign(values)
    ours.frozen_shared.assign(theirs.frozen_shared)
