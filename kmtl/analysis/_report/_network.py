"""A model as blocks that a person can take in: what is shared, and what is a task's."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import keras

from kmtl.layers import (
    Coupling,
    MixExperts,
    MixOwnExperts,
    Representation,
    SharedGate,
    SharingWeights,
    StackedLayer,
    StitchTasks,
    TakeTasks,
)
from kmtl.layers._stacked import owner_of
from kmtl.model import MTLModel

Kind = Literal["inputs", "shared", "stack", "gate", "stitch"]
_MIXTURES = (MixExperts, MixOwnExperts, keras.layers.Multiply)


@dataclass
class Flow:
    """What comes out of a block; by position the slice that each part is made by."""

    block: "Block"
    names: tuple[str, ...]


@dataclass(eq=False)
class Block:
    """Layers that are drawn as one.

    Attributes:
        kind: What they are.
        slices: Names of the copies, such as tasks; none where there is one for all.
        layers: The layers with weights, in order.
        sources: What comes in.
        keeps_owner: Whether a task is mixed of its own slices and those of nobody.
        feeds: The kinds and slices of the blocks that it goes to.
        rank: In which row it stands.
    """

    kind: Kind
    slices: tuple[str, ...] = ()
    layers: list[Any] = field(default_factory=list)
    sources: list[Flow] = field(default_factory=list)
    keeps_owner: bool = False
    feeds: set[Any] = field(default_factory=set)
    rank: int = 0

    @property
    def form(self) -> Any:
        """Blocks of one form can be one block."""
        return self.kind, self.slices

    @property
    def weights(self) -> int:
        """How many weights there are, all slices together."""
        return sum(layer.count_params() for layer in self.layers)

    def links(self) -> Iterable[tuple[Flow, int, int]]:
        """Which slice of which source goes to which slice of this; 0 for the whole."""
        for flow in self.sources:
            for made, taken in _pairs(flow, self):
                yield flow, made, taken


@dataclass(frozen=True)
class Network:
    """The blocks of a model, and what the head of each task is attached to."""

    blocks: tuple[Block, ...]
    attached: dict[str, tuple[tuple[Block, int], ...]]
    is_coupled: bool


def read_network(model: MTLModel) -> Network:
    """Finds the blocks of a model."""
    flows = _flows(model.encoder)
    blocks = _merged(flows, [id(mark.output) for mark in model.marks])
    _rank(blocks)
    return Network(tuple(blocks), _attached(model, flows), model.towers is not None)


def count_weights(model: MTLModel) -> tuple[int, dict[str, int]]:
    """Counts the weights that belong to no task alone, and those of each task."""
    tasks = model.task_names
    shared, own = 0, dict.fromkeys(tasks, 0)
    for part in model.owned_variables():
        owners = part.owners
        owners = [owners] if isinstance(owners, int) else owners
        each = int(part.variable.shape.num_elements() or 0) // len(owners)
        for owner in owners:
            if owner < 0:
                shared += each
            else:
                own[tasks[owner]] += each
    return shared, own


def _flows(encoder: keras.Model) -> dict[int, list[Flow]]:
    """By tensor, what it comes from."""
    inputs = Block("inputs")
    flows: dict[int, list[Flow]] = {}
    for operation in encoder.operations:
        outputs = [id(t) for t in keras.tree.flatten(operation.output)]
        if isinstance(operation, keras.layers.InputLayer):
            inputs.layers.append(operation)
            found = [Flow(inputs, ())]
        else:
            taken = keras.tree.flatten(operation.input)
            come = [f for tensor in taken for f in flows.get(id(tensor), [])]
            found = _step(operation, _distinct(come))
        flows |= dict.fromkeys(outputs, found)
    return flows


def _distinct(flows: Iterable[Flow]) -> list[Flow]:
    return list({(id(f.block), f.names): f for f in flows}.values())


def _step(layer: Any, come: list[Flow]) -> list[Flow]:
    """What comes out of an operation, given what comes in."""
    gates = [f for f in come if f.block.kind == "gate"]
    if isinstance(layer, _MIXTURES) and gates:
        gate = gates[-1].block  # experts of another level come first
        gate.keeps_owner = isinstance(layer, MixOwnExperts)
        gate.sources += [f for f in come if f.block is not gate]
        return [Flow(gate, gate.slices)]
    if isinstance(layer, TakeTasks):
        return [_taken(flow, layer) for flow in come]
    if isinstance(layer, SharingWeights) and layer.depends_on_inputs:
        return _gate(layer, come, gates)
    is_layer = isinstance(layer, keras.layers.Layer)
    if not is_layer or not layer.weights or isinstance(layer, Coupling):
        return come
    return [_block(layer, come)]


def _gate(layer: Any, come: list[Flow], gates: list[Flow]) -> list[Flow]:
    if isinstance(layer, StackedLayer) and not layer.weights and gates:
        return gates  # only changes what a gate says
    slices = ("/0",) if isinstance(layer, SharedGate) else tuple(layer.tasks)
    # What a gate looks at is left out, but for the layers that are made for it.
    own = [f for f in come if f.block.kind == "stack" and f.block.slices == slices]
    return [Flow(Block("gate", slices, [layer], own), slices)]


def _block(layer: Any, come: list[Flow]) -> Flow:
    if isinstance(layer, StitchTasks):
        return Flow(Block("stitch", (), [layer], come), ())
    if isinstance(layer, StackedLayer):
        return Flow(Block("stack", layer.tasks, [layer], come), layer.tasks)
    return Flow(Block("shared", (), [layer], come), ())


def _taken(flow: Flow, layer: TakeTasks) -> Flow:
    if len(flow.names) != len(layer.tasks):
        return flow
    taken = (layer.taken,) if isinstance(layer.taken, str) else layer.taken
    names = tuple(flow.names[layer.tasks.index(name)] for name in taken)
    return dataclasses.replace(flow, names=names)


def _merged(flows: dict[int, list[Flow]], marks: Sequence[int]) -> list[Block]:
    """Joins chains of blocks of one form, where nothing else comes from their middle.

    Blocks that were joined are emptied; flows then name the one they went into.
    """
    unique = _distinct(f for found in flows.values() for f in found)
    blocks = list({id(f.block): f.block for f in unique}.values())
    for block in blocks:
        for flow in block.sources:
            flow.block.feeds.add(block.form)
    for flow in [f for mark in marks for f in flows[mark]]:
        flow.block.feeds.add("heads")
    became: dict[int, Block] = {}
    kept: list[Block] = []
    for block in blocks:
        _redirect(block.sources, became)
        block.sources = _distinct(block.sources)
        if into := _joins(block):
            into.layers += block.layers
            into.feeds = block.feeds
            became[id(block)] = into
        else:
            kept.append(block)
    _redirect([f for found in flows.values() for f in found], became)
    return kept


def _redirect(flows: Iterable[Flow], became: dict[int, Block]) -> None:
    for flow in flows:
        flow.block = became.get(id(flow.block), flow.block)


def _joins(block: Block) -> Block | None:
    if block.kind not in ("shared", "stack") or len(block.sources) != 1:
        return None
    into = block.sources[0].block
    return into if into.form == block.form and into.feeds == {block.form} else None


def _rank(blocks: Iterable[Block]) -> None:
    """Rows from above; a block stands below all that it comes from."""
    blocks = list(blocks)
    for _ in blocks:  # as often as the longest chain could need
        ranks = [b.rank for b in blocks]
        for block in blocks:
            above = [flow.block.rank for flow in block.sources]
            block.rank = 1 + max(above, default=-1)
        if ranks == [b.rank for b in blocks]:
            return


def _pairs(flow: Flow, target: Block) -> list[tuple[int, int]]:
    made, taken = flow.block.slices, target.slices
    if not made:
        return [(0, i) for i in range(max(1, len(taken)))]
    if not taken:
        return [(i, 0) for i in range(len(made))]
    everything = [(i, j) for i in range(len(made)) for j in range(len(taken))]
    if target.kind == "gate" and flow.block.slices != taken and not target.keeps_owner:
        return everything
    if len(flow.names) == len(taken) and target.kind != "gate":
        return [(made.index(name), j) for j, name in enumerate(flow.names)]
    owned = [
        (i, j)
        for i, j in everything
        if owner_of(made[i]) in (owner_of(taken[j]), "" if target.keeps_owner else None)
    ]
    return owned or everything


def _attached(
    model: MTLModel, flows: dict[int, list[Flow]]
) -> dict[str, tuple[tuple[Block, int], ...]]:
    """For each task the block and slice that its head gets."""
    made: dict[int, set[int]] = {}  # by tensor, the marks it comes from
    for operation in model.operations:
        taken = keras.tree.flatten(operation.input)
        marks = set().union(*(made.get(id(t), set()) for t in taken))
        outputs = [id(t) for t in keras.tree.flatten(operation.output)]
        if isinstance(operation, Representation):
            marks = {outputs[0]}
        made |= dict.fromkeys(outputs, marks)
    layer, found = model.outputs_layer, {}
    slices = {id(mark.output): mark.tasks for mark in model.marks}
    for group, logits in zip(layer.groups, model.stacked_logits(), strict=True):
        for index in group.indices:
            name = layer.tasks[index].name
            found[name] = tuple(
                (flow.block, _slice_of(flow, slices[mark], name))
                for mark in sorted(made[id(logits)], key=list(slices).index)
                for flow in flows[mark]
            )
    return found


def _slice_of(flow: Flow, tasks: Sequence[str] | None, name: str) -> int:
    """The slice of a block that a task gets; 0 for the whole of it."""
    if tasks is None or name not in tasks or len(flow.names) != len(tasks):
        return 0
    return flow.block.slices.index(flow.names[tasks.index(name)])
