"""`data.integer-wraparound`: arithmetic on unsigned integers."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import place, rounded


@rule("data.integer-wraparound")
def check(facts: Facts) -> Iterator[Finding]:
    """Arithmetic on unsigned integers wrapped around.

    Bytes hold 0 to 255: 3 - 5 is 254, 200 + 100 is 44. Differences of frames, a mean taken off, sums of masks in bytes
    become speckles; the network trains on noise with a plausible curve.

    Proof: the op, computed again with wide integers, gives other numbers. Where the arithmetic was done in NumPy
    before the first torch call, by its traces: inputs that are bytes scaled, which pile up at both ends and join
    there.

    Buggy::

        change = later - earlier               # both uint8

    Fixed::

        change = later.astype(np.float32) - earlier

    Healthy look-alikes: clipped pictures (they pile up at exactly 0 and 255, and thin out at once), masks, tokens,
    hashes and other integers that no network reads.

    Seen in: mahmoudnafifi/Deep_White_Balance#15; wkentaro/pytorch-fcn#9.
    """
    for name in ("train/data-wraparound", "eval/data-wraparound"):
        found = facts.probe(name)
        if not found:
            continue
        is_proven = found.get("is_proven") is True
        yield Finding(
            "data.integer-wraparound",
            f"`{found['op']}` of {found['dtype']} wrapped around: {rounded(found['share'], 3):.0%} of its "
            "results are wrong"
            if is_proven
            else "inputs look like byte arithmetic that wrapped around: they pile up at both ends of 256 levels",
            severity="error" if is_proven else "warning",
            site=place(found.get("site")),
            evidence={"wrong results": rounded(found["share"], 3), "type": str(found["dtype"])},
            mechanism="unsigned integers hold no negative and no larger numbers → results come back from the other "
            "end → speckled inputs",
            fix="x = x.astype(np.float32)   # or x.float(), before any arithmetic",
            confidence=0.97 if is_proven else 0.75,
            explains=("data.unscaled-input", "data.inputs-labels-unpaired", "data.normalised-twice"),
        )
        return
