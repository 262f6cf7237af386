"""Whether the worker processes of a loader would draw the same random numbers: two are played, each in a fork.

Not here: what one process sees when it reads twice (`data_reading`).
"""

from __future__ import annotations

import ast
import inspect
import itertools
import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset
from torch.utils.data._utils import worker as seams

from mlkit.debug import experiment
from mlkit.debug.examples import fingerprint, leaves_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.variables import tree_of

ITEMS = 8
SECONDS = 2.0  # a bound for a process whose memory takes long to fork, not what reading takes


@probe("data-workers", seconds=8.0)
def data_workers(scene: Scene) -> Measurement:
    """``same``: two workers give the same items; ``again``: one does so with another seed, as in the next epoch."""
    examples = scene.session.data.training
    loader = examples.loader if examples is not None else None
    if examples is None or loader is None or not loader.num_workers:
        return {}
    is_stream = isinstance(loader.dataset, IterableDataset)
    one, other, later = (_played(loader, number, seed) for number, seed in ((0, 10), (1, 10), (0, 20)))
    if not one or not other or not later or len(one) < 2:
        return {}
    return {
        "same": one == other,
        "again": one == later,
        "is_stream": is_stream,
        # Of one process: the same item twice, or one item after another of a stream.
        "varies": len(set(one)) > 1 if is_stream else one[0] != one[1],
        "workers": loader.num_workers,
        "persistent": bool(loader.persistent_workers),
        "has_worker_init": loader.worker_init_fn is not None,
        "site": _line_of_generator(loader.dataset) or examples.site,
    }


def _played(loader: Any, number: int, seed: int) -> list[bytes]:
    """What a worker process would read: for a map the first item again and again, for a stream its first items."""

    def read() -> list[bytes]:
        seams._worker_info = seams.WorkerInfo(
            id=number, num_workers=loader.num_workers, seed=seed + number, dataset=loader.dataset
        )
        torch.manual_seed(seed + number)
        random.seed(seed + number)
        np.random.seed(seed + number)
        if loader.worker_init_fn is not None:
            loader.worker_init_fn(number)
        data = loader.dataset
        is_stream = isinstance(data, IterableDataset)
        items = itertools.islice(iter(data), ITEMS) if is_stream else [data[0] for _ in range(ITEMS)]
        return [fingerprint(leaves_of(item)) for item in items]

    answer = experiment.measure(read, seconds=SECONDS)
    return answer.value if isinstance(answer.value, list) else []


def _line_of_generator(data: object) -> Site | None:
    """The line of a method that draws from a generator which the data set holds."""
    kinds = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
    names = {name for name, value in getattr(data, "__dict__", {}).items() if isinstance(value, kinds)}
    try:
        file = inspect.getsourcefile(type(data))
    except TypeError:
        return None
    tree = tree_of(file) if file else None
    if not names or tree is None or file is None:
        return None
    lines = [
        part.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == type(data).__name__
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name != "__init__"
        for part in ast.walk(method)
        if isinstance(part, ast.Attribute) and part.attr in names and isinstance(part.ctx, ast.Load)
    ]
    return Site(file, min(lines)) if lines else None
