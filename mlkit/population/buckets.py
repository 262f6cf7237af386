"""Buckets: members of one architecture, optimiser family and number of examples, which can train as one stack.

Not here: whether a stack can really be made of them (`mlkit.population.stacked`) and whether it pays
(`mlkit.population.probe`).
"""

from __future__ import annotations

from collections.abc import Sequence

from mlkit.data.batches import SplitBatches
from mlkit.population.course import Course
from mlkit.population.run import Run
from mlkit.population.stacked.errors import CannotStackError
from mlkit.population.stacked.structure import check_same


def buckets_of(runs: Sequence[Run], course: Course) -> tuple[list[list[Run]], list[Run]]:
    """Members that are the same but for numbers, in the order in which they first occur; and those of no such kind.

    Returns:
        The buckets, each of one member or more, and the members whose model cannot be compared (hooks, parameters
        without a shape).
    """
    buckets: dict[tuple[object, ...], list[list[Run]]] = {}
    loose: list[Run] = []
    for run in runs:
        if not _is_plain(run):
            loose.append(run)
            continue
        alike = buckets.setdefault(_key(run, course), [])
        home = next((bucket for bucket in alike if _is_same(bucket[0], run)), None)
        if home is None:
            alike.append([run])
        else:
            home.append(run)
    found = [bucket for alike in buckets.values() for bucket in alike]
    return sorted(found, key=lambda bucket: bucket[0].index), loose


def _key(run: Run, course: Course) -> tuple[object, ...]:
    """What must agree besides the model."""
    member = run.settings
    examples = course.training_of(member).num_examples
    # A loader is read once for all that share it.
    order = None if isinstance(course.training, SplitBatches) else (member.order_seed, member.augment)
    return member.optimizer, member.optimizer == "sgd" and member.nesterov, examples, order


def _is_plain(run: Run) -> bool:
    try:
        check_same([run.model])
    except CannotStackError:
        return False
    return True


def _is_same(first: Run, other: Run) -> bool:
    try:
        check_same([first.model, other.model])
    except CannotStackError:
        return False
    return True
