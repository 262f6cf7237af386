"""Synthetic data that a sound model must solve: when it does not, the fault is in the model or in the training.

Each is made from a seed alone and is as large as asked for. Not here: real data.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlkit.data.source import Source
from mlkit.errors import ConfigError, Problem
from mlkit.runtime.keys import generator
from mlkit.task import Task


def blobs(
    *, examples: int = 1000, num_classes: int = 3, features: int = 2, spread: float = 0.5, seed: int = 0
) -> Source:
    """Gaussian clouds around points that are at least 4 apart; a linear model solves it.

    Args:
        examples: number of examples, classes in turn.
        num_classes: one cloud a class.
        features: dimension of the space, 2 or more.
        spread: standard deviation of a cloud; 0.5 leaves 8 of them between neighbours, 2 makes the clouds overlap.
        seed: key of the draws.
    """
    _require(examples=(examples, 2), num_classes=(num_classes, 2), features=(features, 2), spread=(spread, 0))
    y = torch.arange(examples) % num_classes
    radius = 2.0 / math.sin(math.pi / num_classes)  # neighbours on the circle are 4 apart
    angle = 2 * math.pi * y / num_classes
    x = spread * torch.randn(examples, features, generator=generator(seed, "blobs"))
    x[:, 0] += radius * angle.cos()
    x[:, 1] += radius * angle.sin()
    return _vectors("blobs", x, y, num_classes)


def spirals(
    *, examples: int = 1000, num_classes: int = 2, turns: float = 1.0, noise: float = 0.02, seed: int = 0
) -> Source:
    """Interleaved spirals in the plane; a linear model is little better than chance, one hidden layer solves it.

    Args:
        examples: number of examples, classes in turn.
        num_classes: number of arms.
        turns: how often an arm winds around the centre; more is harder.
        noise: standard deviation around the arm, whose outer radius is 1.
        seed: key of the draws.

    Source: the two-spirals problem of Lang and Witbrock 1988.
    """
    _require(examples=(examples, 2), num_classes=(num_classes, 2), noise=(noise, 0))
    draws = generator(seed, "spirals")
    y = torch.arange(examples) % num_classes
    radius = 0.1 + 0.9 * torch.rand(examples, generator=draws)
    angle = 2 * math.pi * (turns * radius + y / num_classes)
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return _vectors("spirals", x + noise * torch.randn(x.shape, generator=draws), y, num_classes)


def bars(*, examples: int = 1000, size: int = 28, noise: float = 0.1, seed: int = 0) -> Source:
    """Grey images with one bar, horizontal (class 0) or vertical (class 1), anywhere; a convolution solves it.

    Args:
        examples: number of examples, classes in turn.
        size: height and width in pixels, 4 or more.
        noise: standard deviation of the grey noise; black is 0, white is 1, and a bar is 0.8 brighter than the ground.
        seed: key of the draws.
    """
    _require(examples=(examples, 2), size=(size, 4), noise=(noise, 0))
    draws = generator(seed, "bars")
    y = torch.arange(examples) % 2
    thickness = max(1, size // 9)
    position = torch.randint(0, size - thickness + 1, (examples,), generator=draws)
    line = torch.arange(size)
    inside = (line >= position[:, None]) & (line < position[:, None] + thickness)  # (N, size)
    horizontal = inside[:, :, None].expand(-1, -1, size)
    image = torch.where((y == 0)[:, None, None], horizontal, horizontal.transpose(1, 2)).float()
    image = 0.8 * image + 0.1 + noise * torch.randn(image.shape, generator=draws)
    pixels = (255 * image).round().clamp(0, 255).to(torch.uint8)[:, None]
    task = Task("classification", "image", (1, size, size), 2, class_names=("horizontal", "vertical"))
    return Source("bars", task, (pixels,), y, standardize="channel", unit=255.0)


def adding(*, examples: int = 2000, length: int = 50, seed: int = 0) -> Source:
    """The adding problem: the sum of the two numbers of a long sequence that are marked; only memory solves it.

    Each step has a number, uniform in [0, 1], and a mark, 1 at one step of each half and 0 elsewhere. Always answering
    1 has a mean squared error of 1/6.

    Args:
        examples: number of sequences.
        length: steps, 4 or more; longer is harder.
        seed: key of the draws.

    Source: Hochreiter and Schmidhuber 1997, Long short-term memory, experiment 4 (with the sum itself as the target).
    """
    _require(examples=(examples, 3), length=(length, 4))
    draws = generator(seed, "adding")
    number = torch.rand(examples, length, generator=draws)
    first = torch.randint(0, length // 2, (examples, 1), generator=draws)
    second = torch.randint(length // 2, length, (examples, 1), generator=draws)
    mark = torch.zeros(examples, length).scatter_(1, first, 1.0).scatter_(1, second, 1.0)
    task = Task("regression", "series", (length, 2), 1)
    return Source("adding", task, (torch.stack([number, mark], dim=2),), (number * mark).sum(dim=1, keepdim=True))


def copy(*, examples: int = 2000, symbols: int = 8, memory: int = 5, delay: int = 10, seed: int = 0) -> Source:
    """The copy task: say a random word again after a pause; only memory solves it, and then every step is certain.

    Input: ``memory`` random symbols, ``delay`` blanks, the signal "now", ``memory - 1`` blanks. Target, step by step:
    blank until the signal, then the word. Without memory no better than 1 in ``symbols`` at the last ``memory`` steps.

    Args:
        examples: number of sequences.
        symbols: number of different symbols; tokens are these, then blank, then "now".
        memory: length of the word.
        delay: steps between the word and the signal; longer is harder.
        seed: key of the draws.

    Source: Hochreiter and Schmidhuber 1997; in this form Arjovsky, Shah, Bengio 2016 (arXiv:1511.06464).
    """
    _require(examples=(examples, 3), symbols=(symbols, 2), memory=(memory, 1), delay=(delay, 0))
    blank, now = symbols, symbols + 1
    word = torch.randint(0, symbols, (examples, memory), generator=generator(seed, "copy"))
    length = 2 * memory + delay
    x = torch.full((examples, length), blank)
    x[:, :memory] = word
    x[:, memory + delay] = now
    y = torch.full((examples, length), blank)
    y[:, memory + delay :] = word
    vocabulary = symbols + 2
    task = Task("next_token", "tokens", (length,), vocabulary, vocab_size=vocabulary)
    return Source("copy", task, (x,), y)


def _vectors(name: str, x: Tensor, y: Tensor, num_classes: int) -> Source:
    return Source(
        name, Task("classification", "vector", tuple(x.shape[1:]), num_classes), (x,), y, standardize="feature"
    )


def _require(**limits: tuple[float, int]) -> None:
    """Each setting is at least its minimum, which NaN is not."""
    problems = [
        Problem(f"data.{name} is too small", str(value), f"{least} or more")
        for name, (value, least) in limits.items()
        if not value >= least
    ]
    if problems:
        raise ConfigError(problems)
