"""The training and the validation examples of a program, however it holds them: a DataLoader's data set, or tensors.

Both ways give the same view: how many there are, and how to read number *i* as inputs and label.
Not here: where data sets are made (`mlkit.debug.observe.data`), and what is concluded from them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from mlkit.debug.sites import Site
from mlkit.debug.trace import Op, Trace, tensors_in

if TYPE_CHECKING:
    from mlkit.debug.scene import Scene

Role = Literal["input", "label", "both", "other"]
INDEXING = frozenset(
    ["__getitem__", "index_select", "narrow", "split", "chunk", "tensor_split", "select", "take_along_dim", "unbind"]
)
MOST_VALUES = 40_000_000
"""Numbers that a sample holds at most."""


@dataclass(eq=False)
class Sample:
    """Some examples that were read.

    Args:
        indices: which.
        items: the input tensors of each.
        labels: the label of each; None where there is none.
    """

    indices: list[int] = field(default_factory=list)
    items: list[tuple[Tensor, ...]] = field(default_factory=list)
    labels: list[Tensor | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def matrix(self) -> Tensor | None:
        """(item, feature) of the inputs as float32: those of floating point, else all; None where shapes differ."""
        if not self.items:
            return None
        number = [place for place, one in enumerate(self.items[0]) if one.is_floating_point()]
        number = number or list(range(len(self.items[0])))
        rows = []
        for item in self.items:
            if len(item) <= max(number, default=0):
                return None
            rows.append(torch.cat([item[place].detach().reshape(-1).float() for place in number]))
        return torch.stack(rows) if rows[0].numel() and len({len(row) for row in rows}) == 1 else None

    @property
    def is_real(self) -> bool:
        """Whether some input is of floating point."""
        return bool(self.items) and any(one.is_floating_point() for one in self.items[0])

    @cached_property
    def classes(self) -> Tensor | None:
        """The class of each item, for labels that are one index, or one-hot rows; None else."""
        if not self.labels or any(label is None for label in self.labels):
            return None
        labels = [label.detach().reshape(-1) for label in self.labels if label is not None]
        if len({len(label) for label in labels}) != 1:
            return None
        rows = torch.stack(labels)
        if rows.shape[1] == 1:
            values = rows[:, 0].double()
            is_whole = bool(torch.isfinite(values).all()) and bool((values == values.round()).all())
            few = not rows.is_floating_point() or len(torch.unique(values)) <= 2
            return values.long() if is_whole and few else None
        if rows.shape[1] > 1 and bool(((rows == 0) | (rows == 1)).all()) and bool((rows.sum(1) == 1).all()):
            return rows.float().argmax(1)
        return None

    @cached_property
    def keys(self) -> list[bytes]:
        """A fingerprint of the inputs of each item."""
        return [fingerprint(item) for item in self.items]


def fingerprint(tensors: Iterable[Tensor]) -> bytes:
    """Equal for equal values and shapes."""
    digest = hashlib.blake2b(digest_size=12)
    for one in tensors:
        array = one.detach().cpu().contiguous()
        if array.dtype == torch.bfloat16:
            array = array.float()
        digest.update(str(tuple(array.shape)).encode())
        digest.update(array.numpy().tobytes())
    return digest.digest()


@dataclass(eq=False)
class Examples:
    """What is trained on, or validated on.

    Args:
        loader: the DataLoader; None for tensors.
        key: its number in the facts.
        site: the line that made it, or the line that cuts batches from the tensors.
        inputs, label: the tensors of all items, where the program cuts them by hand.
        rows: the rows of them that belong to this part; None for all.
        roles: of each tensor in a batch of the loader.
        is_batch: whether no more than one batch is known.
        is_sliced: whether batches are cut in order (by a slice, not by indices).
    """

    loader: Any = None
    key: int | None = None
    site: Site | None = None
    inputs: list[Tensor] = field(default_factory=list)
    label: Tensor | None = None
    rows: Tensor | None = None
    roles: list[Role] = field(default_factory=list)
    is_batch: bool = False
    is_sliced: bool = False

    @property
    def dataset(self) -> Any:
        return self.loader.dataset if self.loader is not None else None

    @cached_property
    def size(self) -> int:
        """How many; 0 where it cannot be known."""
        if self.loader is None:
            if self.rows is not None:
                return len(self.rows)
            return self.inputs[0].shape[0] if self.inputs else 0
        if isinstance(self.dataset, IterableDataset):
            return 0
        try:
            return len(self.dataset)
        except Exception:
            return 0

    def is_same(self, other: Examples) -> bool:
        """Whether both are cut from the same object."""
        if self.loader is not None and other.loader is not None:
            return self.dataset is other.dataset
        mine = {one.untyped_storage().data_ptr() for one in self.inputs}
        return any(
            one.untyped_storage().data_ptr() in mine and one.shape[0] >= self.size
            for one in other.inputs
            if one.numel()
        )

    def read(self, index: int) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Inputs and label of one item, as the model would get them, without the batch axis."""
        if self.loader is None:
            row = int(self.rows[index]) if self.rows is not None else index
            label = self.label[row] if self.label is not None and self.label.dim() else None
            return tuple(one[row] for one in self.inputs), label
        return self.parts(self.dataset[index])

    def parts(self, item: object) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Inputs and label of what the data set gave."""
        batch = self.loader.collate_fn([item]) if self.loader._auto_collation else item
        leaves = leaves_of(batch)
        roles = self.roles if len(self.roles) == len(leaves) else guessed(leaves)
        inputs = tuple(_single(leaf) for leaf, role in zip(leaves, roles, strict=True) if role in ("input", "both"))
        label = next((_single(leaf) for leaf, role in zip(leaves, roles, strict=True) if role == "label"), None)
        return inputs, label

    def sample(self, count: int, *, seconds: float = 0.5, indices: Sequence[int] | None = None) -> Sample:
        """Read up to ``count`` items, evenly spread, within a time."""
        begin, found, values = time.perf_counter(), Sample(), 0
        if indices is None:
            indices = spread(self.size, count)
        for number, index in enumerate(indices):
            if number % 8 == 7 and time.perf_counter() - begin > seconds:
                break
            items, label = self.read(index)
            if not items:
                break
            found.indices.append(index)
            found.items.append(tuple(one.detach().clone() for one in items))
            found.labels.append(label.detach().clone() if label is not None else None)
            values += sum(one.numel() for one in items)
            if values > MOST_VALUES:
                break
        return found

    def all_labels(self, *, seconds: float = 0.5) -> Tensor | None:
        """Labels of all items where that costs nothing, else of a sample."""
        if self.loader is None and self.label is not None and self.label.dim():
            return self.label[self.rows] if self.rows is not None else self.label
        sample = self.sample(4000, seconds=seconds)
        labels = [one for one in sample.labels if one is not None]
        if not labels or len({one.shape for one in labels}) != 1:
            return None
        return torch.stack(labels)


def spread(size: int, count: int) -> list[int]:
    """Indices, evenly spread but in an order that a cut-off leaves spread as well."""
    if size <= 0:
        return []
    count = min(size, count)
    indices = [(number * size) // count for number in range(count)]
    step = 1
    for candidate in (389, 191, 97, 47, 23, 11, 7, 5, 3):
        if count % candidate and candidate < count:
            step = candidate
            break
    return [indices[(number * step) % count] for number in range(count)]


def leaves_of(value: object, depth: int = 4) -> list[Tensor]:
    """Tensors, arrays and numbers in a batch, in order, as tensors."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return [torch.from_numpy(value)]
    if isinstance(value, (bool, int, float, np.number)):
        return [torch.tensor([value])]
    if depth and isinstance(value, Mapping):
        return [leaf for one in value.values() for leaf in leaves_of(one, depth - 1)]
    if depth and isinstance(value, (list, tuple)):
        if len(value) > 64:
            return []
        return [leaf for one in value for leaf in leaves_of(one, depth - 1)]
    return tensors_in(value, depth=1) if depth else []


def guessed(leaves: Sequence[Tensor]) -> list[Role]:
    """Roles where the batch does not tell: all are inputs but the last of several."""
    roles: list[Role] = ["input"] * len(leaves)
    if len(leaves) > 1:
        roles[-1] = "label"
    return roles


def _single(tensor: Tensor) -> Tensor:
    return tensor[0] if tensor.dim() and tensor.shape[0] == 1 else tensor


# ---------------------------------------------------------------- finding them


def locate(scene: Scene, *, is_training: bool) -> Examples | None:
    """The examples that a scene's batch was taken from, or None."""
    if not scene.inputs:
        return None
    target = scene.head.target if scene.head is not None else None
    for key, batch in reversed(scene.session.loaders.batches):
        loader = scene.session.loaders.live(key) if key is not None else None
        roles = _roles(scene, leaves_of(batch), target)
        if key is not None and loader is not None and ("input" in roles or "both" in roles):
            return Examples(loader=loader, key=key, site=scene.session.facts.loaders[key].site, roles=roles)
    return _tensors(scene, target, is_training=is_training)


def _roles(scene: Scene, leaves: Sequence[Tensor], target: Tensor | None) -> list[Role]:
    """What a batch's tensors are to the model; empty where none of them reaches it."""
    behind_inputs = upstream(scene.trace, scene.inputs)
    behind_target = upstream(scene.trace, [target] if target is not None else [])
    roles: list[Role] = []
    for leaf in leaves:
        is_input, is_target = id(leaf) in behind_inputs, id(leaf) in behind_target
        roles.append("both" if is_input and is_target else "input" if is_input else "label" if is_target else "other")
    if "both" in roles and "input" in roles:  # the model computes the loss itself: it is given the labels too
        roles = ["label" if role == "both" else role for role in roles]
    if "input" not in roles and "both" not in roles:
        return []
    if "label" not in roles and "both" not in roles and roles.count("other") == 1:
        roles[roles.index("other")] = "label"
    return roles


def upstream(trace: Trace, roots: Sequence[Tensor]) -> set[int]:
    """Ids of the tensors that ``roots`` were computed from, themselves among them."""
    found = {id(one) for one in roots}
    for op in trace.behind(roots):
        found |= {id(one) for one in op.inputs}
    return found


def _tensors(scene: Scene, target: Tensor | None, *, is_training: bool) -> Examples | None:
    own = [one for one in scene.inputs if one is not target]
    climbs = [climb(scene.trace, one) for one in own]
    label = climb(scene.trace, target) if target is not None else None
    if not climbs:  # the target is the input itself (an autoencoder)
        return None
    main = climbs[0]
    if is_training and main.whole is not None:
        size = main.whole.shape[0]
        inputs = [one.whole for one in climbs if one.whole is not None and one.whole.shape[0] == size]
        whole = label.whole if label is not None and label.whole is not None else None
        return Examples(
            site=main.op.site if main.op is not None else scene.site,
            inputs=inputs,
            label=whole if whole is not None and whole.shape[0] == size else None,
            rows=main.rows,
            is_sliced=main.is_sliced,
        )
    size = main.cut.shape[0] if main.cut.dim() else 0
    inputs = [one.cut for one in climbs if one.cut.dim() and one.cut.shape[0] == size]
    if not inputs or size < 2:
        return None
    cut = label.cut if label is not None and label.cut.dim() and label.cut.shape[0] == size else None
    site = main.op.site if main.op is not None else scene.call.site if scene.call is not None else scene.site
    return Examples(site=site, inputs=inputs, label=cut, is_batch=True)


@dataclass(eq=False)
class Climb:
    """What a batch was cut from.

    Args:
        cut: the batch as it was cut, before anything was computed with it.
        whole: what it was cut from, where that holds at least two such batches; None else.
        rows: which rows of it batches are drawn from; None for all.
        op: the cut.
        is_sliced: whether it was cut by a slice, so that batches come in order.
    """

    cut: Tensor
    whole: Tensor | None = None
    rows: Tensor | None = None
    op: Op | None = None
    is_sliced: bool = False


def climb(trace: Trace, tensor: Tensor) -> Climb:
    """Go back from a batch through what was computed with it item by item, to the op that cut it."""
    if not tensor.dim():
        return Climb(tensor)
    count, current = tensor.shape[0], tensor
    for op in reversed(trace.ops):
        if op.is_in_place or not any(one is current for one in op.outputs):
            continue
        if op.name in INDEXING and op.args and isinstance(op.args[0], Tensor):
            parent = op.args[0]
            if parent.dim() and parent.shape[0] >= 2 * count:
                rows, is_sliced = _rows(trace, op, parent, count)
                return Climb(current, parent, rows, op, is_sliced)
            return Climb(current, op=op)
        before = [one for one in op.inputs if one.dim() and one.shape[0] == count and not one.requires_grad]
        if not before:
            return Climb(current)
        first = op.args[0] if op.args else None
        current = next((one for one in before if one is first), before[0])
    return Climb(current)


def _rows(trace: Trace, op: Op, parent: Tensor, count: int) -> tuple[Tensor | None, bool]:
    """Rows of ``parent`` that batches are drawn from, and whether in order."""
    if op.name != "__getitem__":
        return None, op.name in ("narrow", "split", "chunk", "tensor_split", "unbind")
    index = op.args[1] if len(op.args) > 1 else None
    if isinstance(index, tuple) and index:
        index = index[0]
    if isinstance(index, slice):
        return None, True
    if not isinstance(index, Tensor) or index.dtype == torch.bool or index.dim() != 1:
        return None, False
    drawn = climb(trace, index).whole
    if drawn is None or drawn.dim() != 1 or drawn.is_floating_point() or drawn.dtype == torch.bool:
        return None, False
    rows = torch.unique(drawn)
    inside = bool(len(rows)) and int(rows[0]) >= 0 and int(rows[-1]) < parent.shape[0]
    return (rows if inside and len(rows) < parent.shape[0] else None), False
