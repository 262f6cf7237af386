"""What happens when an example is read twice: it varies, or not, or the data set itself is changed.

Not here: the values that are read (`data_values`).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlkit.debug.examples import Examples, locate, spread
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.reading import base, held, owners, read_slowly
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site

ITEMS = 6
READS = 4
SECONDS = 0.4


@probe("data-reading")
def data_reading(scene: Scene) -> Measurement:
    """For the training data set: does reading vary, mutate, or repeat; was a random transform taken away."""
    examples = scene.session.data.training
    if examples is None or examples.loader is None or not examples.size:
        return {}
    data = scene.session.data
    found: Measurement = {
        "varies": _varies(examples),
        "is_configured": _is_random_configured(examples.dataset),
        "workers": examples.loader.num_workers,
        "site": examples.site,
        "made": data.made_at(base(examples.dataset)[0]) or examples.site,
        "lost": _lost(scene, examples),
        "mutated": _mutated(scene, examples),
    }
    found.update(_own_randomness(scene, examples))
    return found


@probe("data-reading-eval", scenes=("eval", "validation"))
def data_reading_eval(scene: Scene) -> Measurement:
    """For the data set of an evaluation: whether an example differs from one reading to the next."""
    training, examples = scene.session.data.training, locate(scene, is_training=False)
    if examples is None or examples.loader is None or not examples.size or examples.dataset is None:
        return {}
    is_shared = training is not None and training.loader is not None and training.loader is examples.loader
    made = scene.session.data.made_at(examples.dataset)
    return {
        "varies": _varies(examples),
        "is_training_loader": is_shared,
        "training_varies": _varies(training) if training is not None and training.loader is not None else {},
        "site": made or examples.site,
        "loader": examples.site,
    }


def _varies(examples: Examples) -> dict[str, object]:
    """Share of items whose input, and whose label, differ between readings."""
    inputs = labels = read = 0
    is_real = False
    for index in spread(examples.size, ITEMS):
        first, label = examples.read(index)
        first = tuple(one.clone() for one in first)
        label = label.clone() if label is not None else None
        is_real = is_real or any(one.is_floating_point() for one in first)
        moved = label_moved = False
        for _ in range(READS):
            again, other = examples.read(index)
            moved = moved or not _equal(first, again)
            label_moved = label_moved or not _equal([label], [other])
        inputs, labels, read = inputs + moved, labels + label_moved, read + 1
    return {"inputs": inputs, "labels": labels, "read": read, "is_real": is_real}


def _equal(one: Any, other: Any) -> bool:
    if len(one) != len(other):
        return False
    for first, second in zip(one, other, strict=True):
        if (first is None) != (second is None):
            return False
        if first is not None and (
            first.shape != second.shape or not torch.equal(first.nan_to_num(), second.nan_to_num())
        ):
            return False
    return True


# ---------------------------------------------------------------- transforms that were taken away


def _lost(scene: Scene, examples: Examples) -> dict[str, object]:
    """A callable attribute of the data set that varied its items, and is another one (or None) now."""
    mine = {id(one): one for one in owners(examples.dataset)}
    for change in scene.session.data.replaced:
        owner = change.owner()
        if owner is None or id(owner) not in mine:
            continue
        now = vars(owner).get(change.name)
        before = _varies(examples)
        object.__setattr__(owner, change.name, change.before)
        try:
            then = _varies(examples)
        except Exception:
            continue
        finally:
            object.__setattr__(owner, change.name, now)
        if then["inputs"] and not before["inputs"]:
            return {
                "attribute": change.name,
                "owner": type(owner).__name__,
                "before": _name(change.before),
                "after": _name(change.after),
                "site": change.site,
                "is_shared": owner is not examples.dataset,
            }
    return {}


def _name(value: object) -> str:
    return getattr(value, "__name__", type(value).__name__) if value is not None else "None"


def _is_random_configured(data: object) -> str | None:
    """The name of a random transform that some data set in the chain holds, as torchvision names them."""
    for owner in owners(data):
        todo: list[tuple[object, int]] = [(one, 3) for one in getattr(owner, "__dict__", {}).values()]
        while todo:
            value, depth = todo.pop()
            kind = type(value)
            is_random = kind.__name__.startswith("Random") and kind.__module__.startswith(
                ("torchvision", "albumentations")
            )
            probability = getattr(value, "p", 0.5)
            if is_random and callable(value) and isinstance(probability, float) and probability > 0:
                return kind.__name__
            if depth and isinstance(value, (list, tuple)) and len(value) < 30:
                todo += [(one, depth - 1) for one in value]
            elif depth and hasattr(value, "transforms"):
                todo.append((value.transforms, depth - 1))
            elif depth and isinstance(value, torch.nn.Module):
                todo += [(one, depth - 1) for one in value.children()]
    return None


# ---------------------------------------------------------------- data that reading changes


def _mutated(scene: Scene, examples: Examples) -> dict[str, object]:
    """What the data set holds, before and after an item is read a second time; the line that changes it."""
    stored = held(examples.dataset)
    if not stored:
        return {}
    changed = 0
    index = 0
    for index in spread(examples.size, 3):
        examples.dataset[index]  # the first reading may fill a cache
        before = [_sum(one) for one in stored]
        for _ in range(2):
            examples.dataset[index]
        changed = sum(_sum(one) != value for one, value in zip(stored, before, strict=True))
        if changed:
            break
    if not changed:
        return {}
    which = next(one for one, value in zip(stored, before, strict=True) if _sum(one) != value)
    site = _line_of_change(scene, examples, index, lambda: _sum(which))
    return {"changed": changed, "held": len(stored), "site": site or examples.site}


def _sum(value: Tensor | np.ndarray[Any, Any]) -> object:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (float(value.double().nan_to_num().sum()), float(value.double().nan_to_num().square().sum()))
    return (float(np.nansum(value, dtype=np.float64)), float(np.nansum(np.square(value, dtype=np.float64))))


def _line_of_change(scene: Scene, examples: Examples, index: int, state: Callable[[], object]) -> Site | None:
    """The user's line after which a state is another one."""
    known, found = [state()], [None]

    def after_line(site: Site, frame: FrameType) -> None:
        now = state()
        if now != known[0]:
            known[0] = now
            found.append(site)  # type: ignore[arg-type]

    for _ in range(3):
        read_slowly(examples, index, scene.session.locator, after_line=after_line)
        if len(found) > 1:
            break
    return found[1] if len(found) > 1 else None


# ---------------------------------------------------------------- randomness of its own


def _own_randomness(scene: Scene, examples: Examples) -> dict[str, object]:
    """Whether items vary by generators that the data set holds alone; whether reading seeds the global ones anew."""
    found: dict[str, object] = {}
    index = spread(examples.size, 1)[0]
    _seed(1)
    before = _global_state()
    examples.dataset[index]
    first = _global_state()
    _seed(2)
    examples.dataset[index]
    second = _global_state()
    names = [name for name in first if first[name] == second[name] and first[name] != before[name]]
    if names:
        found["seeds_anew"] = names
        found["seeding_site"] = _seeding_line(scene, examples, index, names[0])
    own = _generators(examples.dataset)
    if own:
        places = [(owner, name, copy.deepcopy(_state(value))) for owner, name, value in own]

        def read_from(seed: int) -> tuple[Tensor, ...]:
            for owner, name, state in places:
                _set_state(vars(owner)[name], copy.deepcopy(state))
            _seed(seed)
            return tuple(one.clone() for one in examples.read(index)[0])

        one, other = read_from(1), read_from(2)
        _seed(1)
        moved = examples.read(index)[0]
        if _equal(one, other) and not _equal(one, moved):
            found["own"] = [name for _, name, _ in own]
            found["own_kind"] = type(own[0][2]).__name__
            found["persistent"] = bool(examples.loader.persistent_workers)
            found["has_worker_init"] = examples.loader.worker_init_fn is not None
            owner, name = own[0][0], own[0][1]
            found["own_site"] = _line_of_change(
                scene, examples, index, lambda: str(_state(vars(owner)[name]))
            ) or scene.session.data.made_at(owner)
    return found


def _seeding_line(scene: Scene, examples: Examples, index: int, name: str) -> Site | None:
    _seed(3)
    known: list[tuple[object, Site | None]] = []

    def after_line(site: Site, frame: FrameType) -> None:
        known.append((_global_state()[name], site))

    read_slowly(examples, index, scene.session.locator, after_line=after_line)
    _seed(4)
    once = list(known)
    known.clear()
    read_slowly(examples, index, scene.session.locator, after_line=after_line)
    for (one, site), (other, _) in zip(once, known, strict=False):
        if one == other:
            return site
    return None


def _generators(data: object) -> list[tuple[Any, str, Any]]:
    kinds = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
    return [
        (owner, name, value)
        for owner in owners(data)
        for name, value in getattr(owner, "__dict__", {}).items()
        if isinstance(value, kinds)
    ]


def _state(value: Any) -> Any:
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state()
    return value.getstate() if isinstance(value, random.Random) else value.get_state()


def _set_state(value: Any, state: Any) -> None:
    if isinstance(value, np.random.Generator):
        value.bit_generator.state = state
    elif isinstance(value, np.random.RandomState):
        value.set_state(state)
    elif isinstance(value, random.Random):
        value.setstate(state)
    else:
        value.set_state(state)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _global_state() -> dict[str, bytes]:
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": str(np.random.get_state()[1:3]).encode() + np.random.get_state()[1].tobytes(),  # type: ignore[index]
        "random": str(random.getstate()).encode(),
    }
