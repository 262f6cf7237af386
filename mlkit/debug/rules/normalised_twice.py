"""`data.normalised-twice`: inputs normalised twice."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import part, place, rounded


@rule("data.normalised-twice")
def check(facts: Facts) -> Iterator[Finding]:
    """Inputs are normalised twice.

    A data set divides by 255, and a transform that expects bytes does so again; or mean and deviation are applied
    in the data set and once more in the loop. The contrast shrinks to almost nothing, or the range is shifted; a
    network with batch normalisation hides it, one without may not converge.

    Proof: the same shift and scale (the same constants) are on the way of one input twice; or all values lie on the 256
    levels of a byte whose steps are far smaller than one normalisation makes them.

    Buggy::

        image = image / 255          # in __getitem__
        image = normalise(image)     # subtracts 0.43 * 255, divides by 0.19 * 255

    Fixed::

        image = normalise(image)

    Healthy look-alikes: small units (metres, shares) do not lie on the levels of a byte.

    Seen in: 4uiiurz1/pytorch-nested-unet#62; soumith/imagenet-multiGPU.torch#18; hao-ai-lab/FastVideo#1055.
    """
    values = facts.probe("train/data-values")
    twice, entry = part(values, "twice"), part(values, "entry")
    explains = ("data.unscaled-input", "data.split-preprocessing", "loss.starts-far-from-chance")
    if twice:
        yield Finding(
            "data.normalised-twice",
            "the same normalisation is applied to the inputs twice",
            severity="error",
            site=place(twice.get("again"), twice.get("first")),
            evidence={"constants": list(twice["constants"])},
            mechanism="an already normalised input is shifted and scaled again → its mean and spread are off → slow "
            "or no learning",
            fix="apply it once: in the data set or in the loop",
            confidence=0.95,
            explains=explains,
        )
        return
    step, spread = entry.get("lattice"), entry.get("std", 0.0)
    if isinstance(step, float) and step < 1e-3 and spread < 0.05 and entry.get("zeros", 1.0) < 0.5:
        yield Finding(
            "data.normalised-twice",
            f"byte images are scaled down twice: one grey level is {step:.1g} and all inputs lie within ±{spread:.1g}",
            severity="warning",
            site=place(values.get("site"), entry.get("site")),
            evidence={
                "step between levels": rounded(step),
                "mean": rounded(entry["mean"]),
                "standard deviation": rounded(spread),
            },
            mechanism="divided by 255 twice → the contrast is hundreds of times too small → every image looks the "
            "same to the network",
            fix="divide by 255 once: in the data set or in the transform",
            confidence=0.9,
            explains=explains,
        )
