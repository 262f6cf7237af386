"""Whether anything in the inputs predicts their labels, as they are stored or in another order of the labels.

Not here: whether the network learns it.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from mlkit.debug.examples import Examples, Sample
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.reading import base
from mlkit.debug.scene import Scene

MOST = 1500
NONE = 3.0
"""Standard errors below which no representation is said to carry a signal."""


@probe("data-signal")
def data_signal(scene: Scene) -> Measurement:
    """How many standard errors above chance simple probes of several representations are."""
    examples = scene.session.data.training
    if examples is None or not examples.size or examples.is_batch:
        return {}
    begin = time.perf_counter()
    stored, is_whole = _stored(examples)
    sample = stored.sample(MOST, seconds=0.8, indices=range(min(stored.size, MOST)) if is_whole else None)
    found = signal_of(sample)
    labels = _kinds(sample)
    if not found or labels is None:
        return {}
    best, views = max(found["scores"].values()), representations(sample)  # type: ignore[attr-defined]
    if best < 2 * NONE and is_whole and len(sample) == stored.size:
        orders = other_orders(len(labels))
        for name, order in orders.items():
            if time.perf_counter() - begin > 2.0:
                break
            again = max(strength(view, labels[order]) for view in views.values())
            if again > 8.0 and again > 2 * best:
                found["order"], found["again"] = name, again
                break
    return found


def signal_of(sample: Sample) -> Measurement:
    """The same for items in an order that tells nothing."""
    labels = _kinds(sample)
    if labels is None or len(sample) < 200:
        return {}
    views = representations(sample)
    if not views:
        return {}
    scores = {name: strength(view, labels) for name, view in views.items()}
    return {"best": max(scores.values()), "read": len(sample), "scores": scores}


def _stored(examples: Examples) -> tuple[Examples, bool]:
    """The examples in the order in which they are stored, all of them where they are few enough."""
    if examples.loader is None:
        whole = Examples(inputs=examples.inputs, label=examples.label)
        return whole, whole.size <= MOST
    data, rows = base(examples.dataset)
    if rows is None:
        return examples, examples.size <= MOST
    return _Over(examples, data), _length(data) <= MOST


class _Over(Examples):
    """The examples of another data set, read with the same loader's collation."""

    def __init__(self, examples: Examples, data: object) -> None:
        super().__init__(loader=examples.loader, roles=examples.roles)
        self._data = data

    @property
    def dataset(self) -> object:
        return self._data


def _length(data: object) -> int:
    try:
        return len(data)  # type: ignore[arg-type]
    except TypeError:
        return 1 << 40


def _kinds(sample: Sample) -> Tensor | None:
    """A class for each item; real-valued labels fall into three of equal size."""
    classes = sample.classes
    if classes is not None:
        classes = torch.unique(classes, return_inverse=True)[1]
        return classes if 2 <= int(classes.max()) + 1 <= 50 else None
    labels = [one for one in sample.labels if one is not None]
    if len(labels) != len(sample) or any(one.numel() != 1 for one in labels):
        return None
    values = torch.stack([one.reshape(()).double() for one in labels])
    if not bool(torch.isfinite(values).all()) or float(values.std()) == 0:
        return None
    return (values.argsort().argsort() * 3) // len(values)


def representations(sample: Sample) -> dict[str, Tensor]:
    """The inputs, their spectra (a shift does not matter), their order statistics (a permutation neither)."""
    raw = sample.matrix
    if raw is None or not bool(torch.isfinite(raw).all()):
        return {}
    found = {"raw": _narrow(raw)}
    shape = sample.items[0][0].shape
    if sample.is_real and len(sample.items[0]) == 1 and shape and shape[-1] >= 8:
        items = raw.reshape(len(raw), *shape)
        is_picture = len(shape) >= 2 and shape[-2] >= 8
        spectrum = torch.fft.rfft2(items).abs() if is_picture else torch.fft.rfft(items).abs()
        found["spectrum"] = _narrow(spectrum.reshape(len(raw), -1))
    if raw.shape[1] >= 4:
        found["sorted"] = _narrow(raw.sort(1).values)
    if not sample.is_real and float(raw.max()) < 20_000 and float(raw.min()) >= 0:
        size = int(raw.max()) + 1
        bags = torch.zeros(len(raw), size).scatter_add_(1, raw.long(), torch.ones_like(raw))
        found["bag"] = _narrow(bags)
    return found


def _narrow(values: Tensor) -> Tensor:
    """Columns at one scale; a random projection of many."""
    values = values - values.mean(0)
    values = values / values.std(0, correction=0).clamp_min(1e-3 * float(values.std()) + 1e-12)
    if values.shape[1] > 256:
        generator = torch.Generator().manual_seed(0)
        values = values @ torch.randn(values.shape[1], 256, generator=generator) / values.shape[1] ** 0.5
    return values


def strength(values: Tensor, labels: Tensor) -> float:
    """Standard errors by which nearest neighbours or a linear fit of one half predict the other half above chance."""
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
    values, labels = values[order], labels[order]
    half, kinds = len(values) // 2, int(labels.max()) + 1
    left, right, known, wanted = values[:half], values[half:], labels[:half], labels[half:]
    shares = torch.bincount(known, minlength=kinds).float() / half
    near = torch.cdist(right, left).topk(min(10, half), largest=False).indices
    votes = torch.zeros(len(right), kinds).scatter_add_(1, known[near], torch.ones(near.shape)) / near.shape[1]
    target = torch.nn.functional.one_hot(known, kinds).float() - shares
    gram = left.T @ left + 0.1 * half * torch.eye(left.shape[1])
    linear = right @ torch.linalg.solve(gram, left.T @ target)
    best = -9.0
    for scores in (
        votes - shares,
        linear,
    ):  # scores above a class's own share, so that the common one does not win always
        guess = scores.argmax(1)
        chance = float((torch.bincount(guess, minlength=kinds).float() / len(guess) * shares).sum())
        right_share = float((guess == wanted).float().mean())
        error = max(1e-6, (chance * (1 - chance) / len(wanted)) ** 0.5)
        best = max(best, (right_share - chance) / error)
    return best


def other_orders(count: int) -> dict[str, Tensor]:
    """Orders of the labels that a slip makes of the right one."""
    text = torch.tensor(sorted(range(count), key=str))
    return {
        "the order of file names as text": text,
        "the order of file names as text, on the labels": text.argsort(),
        "one place later": torch.arange(count).roll(1),
        "one place earlier": torch.arange(count).roll(-1),
        "reversed": torch.arange(count).flip(0),
    }
