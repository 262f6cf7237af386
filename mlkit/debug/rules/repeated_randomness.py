"""`data.repeated-randomness`: workers or epochs repeat the same random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import place


@rule("data.repeated-randomness")
def check(facts: Facts) -> Iterator[Finding]:
    """Workers, or epochs, repeat the same random numbers.

    The data set draws from a generator that it made itself. Every worker process gets a copy in the same state, and
    a fresh copy in every epoch: all of them draw the same "random" augmentations. Or reading an item seeds the
    global generators, so that everything after it repeats, dropout included.

    Proof: two worker processes, played in forks with seeds of their own, read the same random items (of a stream: the
    same items at all). Or: items vary with the state of the data set's own generator and not with the global seed, and
    there are worker processes that each take a copy; or the global state after reading an item does not depend on the
    state before.

    Buggy::

        self.rng = np.random.default_rng(0)          # in __init__
        noise = self.rng.normal(size=64)             # in __getitem__, with num_workers=2

    Fixed::

        noise = torch.randn(64)                      # torch seeds its workers apart, anew in every epoch

    Healthy look-alikes: the same generator without workers (it moves on), a ``worker_init_fn`` that seeds it.

    Seen in: tanelp.github.io, "a bug that plagues thousands of open-source ML projects".
    """
    reading = facts.probe("train/data-reading")
    workers = reading.get("workers")
    own = reading.get("own")
    if isinstance(own, list) and isinstance(workers, int) and workers > 0 and not reading.get("has_worker_init"):
        if reading.get("persistent") and workers < 2:
            return
        what = (
            "each epoch"
            if workers == 1
            else "each worker"
            if reading.get("persistent")
            else "each worker and each epoch"
        )
        yield Finding(
            "data.repeated-randomness",
            f"{what} repeats the same random numbers: every worker gets a copy of the data set's own "
            f"generator `{own[0]}`",
            severity="error",
            site=place(reading.get("own_site"), reading.get("made"), reading.get("site")),
            evidence={"generator": str(own[0]), "workers": workers, "varies with the global seed": False},
            mechanism="the generator is copied with its state → all copies draw the same → far fewer different "
            "augmentations",
            fix="draw from torch's generator (torch.rand, torch.randint), which workers seed apart",
            confidence=0.95,
        )
    else:
        yield from _of_played_workers(facts)
    names = reading.get("seeds_anew")
    if isinstance(names, list) and names:
        yield Finding(
            "data.repeated-randomness",
            f"reading an item seeds the global {names[0]} generator: all that is drawn after it repeats",
            severity="warning",
            site=place(reading.get("seeding_site"), reading.get("made")),
            evidence={"generators": [str(name) for name in names]},
            mechanism="the generator is put back with every item → augmentation, dropout and order repeat → less "
            "variety than it seems",
            fix="seed once at the start of the program, or draw from a local generator",
            confidence=0.85,
        )


def _of_played_workers(facts: Facts) -> Iterator[Finding]:
    """Two workers, each with the seed that torch would give it, read the same."""
    played = facts.probe("train/data-workers")
    workers = played.get("workers")
    if not played.get("varies") or not isinstance(workers, int):
        return
    if not (played["same"] and workers > 1) and not (
        played["again"] and not played["persistent"] and not _is_plain(played)
    ):
        return
    what = "every worker" if played["same"] and workers > 1 else "every epoch"
    yield Finding(
        "data.repeated-randomness",
        f"{what} reads the same {'items' if played['is_stream'] else 'random numbers'}",
        severity="error",
        site=place(played.get("site")),
        evidence={
            "workers": workers,
            "two workers read the same": bool(played["same"]),
            "with another seed the same again": bool(played["again"]),
        },
        mechanism="each worker copies the data set with the state of its generator → all copies draw the same → far "
        "fewer different examples than it seems",
        fix="seed in the worker: rng = np.random.default_rng(torch.initial_seed()) at the start of __iter__ "
        "(a stream of stored items is shared out by get_worker_info().id)",
        confidence=0.95,
    )


def _is_plain(played: Mapping[str, object]) -> bool:
    """Whether a stream may well give the same items in every epoch: nothing random is meant to be in it."""
    return bool(played["is_stream"])
