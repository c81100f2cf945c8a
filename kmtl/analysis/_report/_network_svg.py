"""Where the blocks of a network are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kmtl._head_groups import HeadGroup
from kmtl.analysis._report._network import Block, Network
from kmtl.analysis._report._words import TIMES, short
from kmtl.layers import AttentionMask
from kmtl.model import MTLModel
from kmtl.tasks import ProductTask, Task

# More copies than this are drawn as a pile.
MOST_CARDS = 8
_CARD, _GUTTER, _GAP = 104.0, 22.0, 8.0
_SMALL_CARD, _FEW = 78.0, 4  # so few cards fit on a phone
_BAR, _HEAD, _ROOM = 50.0, 66.0, 34.0  # heights of blocks, of heads, between rows
_LEAST_WIDTH = 352.0  # a phone of 390 pixels, less the margins of the page
_LETTER = 6.4  # width of one, in pixels
_MOST_LAYERS = 4


@dataclass(frozen=True)
class Box:
    """A rectangle with lines of text; of a pile two more are seen behind it."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    lines: tuple[str, ...]
    hint: str
    is_pile: bool = False

    @property
    def middle(self) -> float:
        """Where lines start and end."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass
class Picture:
    """What is drawn: boxes, and lines between them as SVG paths by kind."""

    width: float
    height: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Head:
    """One card of the last row: a task, or all tasks of a head group."""

    lines: tuple[str, ...]
    hint: str
    tasks: tuple[str, ...]
    parents: tuple[str, ...]


def lay_out(model: MTLModel, network: Network) -> Picture:
    """Places the blocks in rows, from the inputs above to the heads below."""
    rows: list[list[Block]] = [[] for _ in range(1 + max(_ranks(network), default=0))]
    for block in network.blocks:
        rows[block.rank].append(block)
    heads = _heads(model)
    most = max([len(heads), *(sum(map(_cards, row)) for row in rows)])
    card = _CARD if most > _FEW else _SMALL_CARD
    picture = Picture(max(_LEAST_WIDTH, most * card + 2 * _GUTTER))
    boxes: dict[tuple[int, int], Box] = {}
    for row in rows:
        _place_row(picture, boxes, row)
    _place_heads(picture, boxes, network, heads)
    for block in network.blocks:
        for flow, made, taken in block.links():
            start, end = boxes[id(flow.block), made], boxes[id(block), taken]
            skips = block.rank - flow.block.rank > 1
            _connect(picture, start, end, skips, "mix" if block.kind == "gate" else "")
    picture.lines = list(dict.fromkeys(picture.lines))
    return picture


def _ranks(network: Network) -> list[int]:
    return [block.rank for block in network.blocks]


def _cards(block: Block) -> int:
    return len(block.slices) if 0 < len(block.slices) <= MOST_CARDS else 1


def _place_row(
    picture: Picture, boxes: dict[tuple[int, int], Box], row: Sequence[Block]
) -> None:
    """Gives every block of a row its share of the width."""
    if not row:
        return
    start, whole = _GUTTER, picture.width - 2 * _GUTTER
    y, each = picture.height, whole / sum(map(_cards, row))
    for block in row:
        count = _cards(block)
        for place in range(max(1, len(block.slices))):
            column = place if count > 1 else 0
            x = start + column * each + _GAP / 2
            width = (each if count > 1 else each * count) - _GAP
            box = _box(block, place, x, y, width)
            if place < count:
                picture.boxes.append(box)
            boxes[id(block), place] = box
        start += count * each
    picture.height = y + _BAR + _ROOM


def _box(block: Block, place: int, x: float, y: float, width: float) -> Box:
    is_pile = len(block.slices) > MOST_CARDS
    title, line = _title(block), _describe(block)
    many = len(block.slices) > 1
    each = block.weights // max(1, len(block.slices))
    if is_pile:
        title = f"{len(block.slices)} {TIMES} {title}"
    elif block.slices:
        title = _slice_title(block, place)
    if block.kind == "inputs":
        line = _inputs(block)
    count = f"{each:,} weights{' each' if many else ''}"
    hint = f"{title}: {line}" + ("" if block.kind == "inputs" else f"; {count}")
    if len(line) > _most_letters(width):  # without the kind of the layers
        line = line.split(" ", 1)[-1]
    lines = (_fit(title, width), _fit(line, width))
    return Box(x, y, width, _BAR, block.kind, lines, hint, is_pile)


def _title(block: Block) -> str:
    if block.kind in ("inputs", "gate"):
        return block.kind
    if block.kind == "stitch":
        return "stitch: each task takes some of all"
    stems = [
        layer.name.removeprefix("tabular_").split("_")[0] for layer in block.layers
    ]
    return " + ".join([*dict.fromkeys(stems)][:2])


def _slice_title(block: Block, place: int) -> str:
    """Names a copy: a task, an expert, a branch of several tasks."""
    owner, _, rest = block.slices[place].partition("/")
    if owner:
        several = sum(name.startswith(f"{owner}/") for name in block.slices) > 1
        return f"{owner} {rest}" if several else owner
    if not rest.isdigit():
        return rest
    is_shared = not all(name.startswith("/") for name in block.slices)
    return "shared" if is_shared or block.kind == "gate" else f"expert {rest}"


def _describe(block: Block) -> str:
    if block.kind == "gate":
        return "attention" if isinstance(block.layers[0], AttentionMask) else "gate"
    if block.kind == "stitch":
        return "a weight for each pair"
    names = [_layer_text(layer) for layer in block.layers]
    # They change no width, and are less to read about.
    names = [n for n in names if "Normalization" not in n] or names
    if len(names) > _MOST_LAYERS:
        return f"{len(names)} layers with weights"
    kinds = {name.split(" ")[0] for name in names}
    if len(kinds) == 1 and len(names) > 1:
        widths = " → ".join(name.split(" ", 1)[-1] for name in names)
        return f"{kinds.pop()} {widths}"
    return " → ".join(names)


def _layer_text(layer: Any) -> str:
    kind = type(layer).__name__.removeprefix("Task").removeprefix("Tabular")
    kind = kind.removesuffix("Tasks")
    output = layer.output
    if isinstance(output, (list, tuple, dict)):
        return kind
    return f"{kind} {output.shape[-1]}"


def _inputs(block: Block) -> str:
    if len(block.layers) > _MOST_LAYERS:
        return f"{len(block.layers)} inputs"
    shapes = [
        f" {TIMES} ".join("?" if n is None else str(n) for n in layer.output.shape[1:])
        for layer in block.layers
    ]
    if len(shapes) > 1:
        pairs = zip(block.layers, shapes, strict=True)
        shapes = [f"{layer.name} {shape}" for layer, shape in pairs]
    return ", ".join(shapes)


def _heads(model: MTLModel) -> list[_Head]:
    layer = model.outputs_layer
    groups = {i: group for group in layer.groups for i in group.indices}
    if len(layer.tasks) <= MOST_CARDS:
        return [_head([task], groups[i]) for i, task in enumerate(layer.tasks)]
    heads = [_head(list(g.members(layer.tasks)), g) for g in layer.groups]
    if len(heads) <= MOST_CARDS:
        return heads
    names = tuple(task.name for task in layer.tasks)
    lines = (f"{len(names)} {TIMES} head", f"in {len(heads)} forms")
    return [_Head(lines, ", ".join(names), names, ())]


def _head(tasks: Sequence[Task], group: HeadGroup) -> _Head:
    names = tuple(task.name for task in tasks)
    title = names[0] if len(names) == 1 else f"{len(names)} {TIMES} head"
    lines = (title, kind_of(tasks[0]), _chain(tasks[0], group))
    hint = f"{', '.join(names)}: {lines[1]}, {lines[2]}"
    return _Head(lines, hint, names, tasks[0].parents)


def _chain(task: Task, group: HeadGroup) -> str:
    if isinstance(task, ProductTask):
        return "no head"
    if group.own:
        return "own head"
    return " → ".join(map(str, (*group.hidden, group.units)))


def kind_of(task: Task) -> str:
    """The kind of a task in a word."""
    return type(task).__name__.removesuffix("Task").lower()


def _place_heads(
    picture: Picture,
    boxes: dict[tuple[int, int], Box],
    network: Network,
    heads: Sequence[_Head],
) -> None:
    whole = (picture.width - 2 * _GUTTER) / len(heads)
    last = max(_ranks(network), default=0)
    of_task: dict[str, Box] = {}
    for place, head in enumerate(heads):
        x, width = _GUTTER + place * whole + _GAP / 2, whole - _GAP
        lines = tuple(_fit(line, width) for line in head.lines)
        is_pile = len(head.tasks) > 1
        box = Box(x, picture.height, width, _HEAD, "head", lines, head.hint, is_pile)
        picture.boxes.append(box)
        of_task |= dict.fromkeys(head.tasks, box)
        for task in head.tasks:
            for block, made in network.attached[task]:
                start = boxes[id(block), made]
                _connect(picture, start, box, block.rank < last, "")
    picture.height += _HEAD
    depth = _place_conditions(picture, heads, of_task)
    picture.height += depth + 8


def _place_conditions(
    picture: Picture, heads: Sequence[_Head], of_task: dict[str, Box]
) -> float:
    """Draws which heads see the labels or predictions of others; returns the depth."""
    depth = 0.0
    seen = [(parent, head.tasks[0]) for head in heads for parent in head.parents]
    for parent, task in seen:
        start, end = of_task[parent], of_task[task]
        if start is end:
            continue
        deep = 14 + 0.07 * abs(start.middle - end.middle)
        depth = max(depth, deep)
        low, bottom = start.bottom + 1.3 * deep, start.bottom
        a, b = start.middle, end.middle
        picture.lines.append(
            (
                f"M{a:.1f} {bottom:.1f}C{a:.1f} {low:.1f} {b:.1f} {low:.1f} {b:.1f} "
                f"{bottom + 2:.1f}",
                "condition",
            )
        )
    return depth


def _connect(picture: Picture, start: Box, end: Box, skips: bool, kind: str) -> None:
    """Draws a line; one past other rows runs along the left edge."""
    if start.width > 2 * end.width:  # a wide one feeds what is below it
        a = min(max(end.middle, start.x + 6), start.x + start.width - 6)
    else:
        a = start.middle
    b = end.middle
    if end.width > 2 * start.width:
        b = min(max(a, end.x + 6), end.x + end.width - 6)
    top, bottom = start.bottom, end.y
    if skips:
        edge, y = _GUTTER / 2, start.y + start.height / 2
        under = bottom - _ROOM / 2
        path = (
            f"M{start.x:.1f} {y:.1f}H{edge + 6:.1f}Q{edge:.1f} {y:.1f} {edge:.1f} "
            f"{y + 6:.1f}V{under - 6:.1f}Q{edge:.1f} {under:.1f} {edge + 6:.1f} "
            f"{under:.1f}H{b - 6:.1f}Q{b:.1f} {under:.1f} {b:.1f} {under + 6:.1f}"
            f"V{bottom:.1f}"
        )
    else:
        half = f"{(top + bottom) / 2:.1f}"
        path = f"M{a:.1f} {top:.1f}C{a:.1f} {half} {b:.1f} {half} {b:.1f} {bottom:.1f}"
    picture.lines.append((path, kind))


def _fit(text: str, width: float) -> str:
    """Cuts a text to a width; the whole of it is in the hint."""
    return short(text, _most_letters(width))


def _most_letters(width: float) -> int:
    return max(3, int((width - 6) / _LETTER))
