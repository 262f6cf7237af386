"""`data.unscaled-input`: inputs far from zero mean and unit scale."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.data_facts import place, rounded

LARGE = 20.0
SMALL = 0.02


@rule("data.unscaled-input")
def check(facts: Facts) -> Iterator[Finding]:
    """Inputs enter the first layer far from zero mean and unit scale.

    The usual initialisations keep activations at unit scale only if the inputs have it. With pixels of 0 to 255 the
    first outputs, the first loss and the gradients of the first layer are hundreds of times too large; with inputs that
    hardly vary the network sees a constant. The loss starts far from chance, jumps, or hardly moves.

    Measured: the root mean square (or the spread) of the real-valued tensor that enters the first op with parameters.

    Buggy::

        x = image.float()

    Fixed::

        x = (image.float() / 255 - mean) / std

    Healthy look-alikes: a first layer that normalises, or a normalisation right after it, cancels any scale; indices
    into an embedding are not numbers of a scale; mostly-zero inputs are small without harm.

    Seen in: Stack Overflow 44856988, 64745590.
    """
    values = facts.probe("train/data-values")
    entry = values.get("entry")
    if not isinstance(entry, dict) or not entry["is_real"] or "rms" not in entry or entry["is_normalised"]:
        return
    rms, spread, feature = float(entry["rms"]), float(entry["std"]), float(entry["feature_std"])
    is_large = rms > LARGE
    is_small = 0 < feature < SMALL and 0 < spread < SMALL and entry["zeros"] < 0.3 and entry["shape"][0] >= 4
    if not is_large and not is_small:
        return
    words = (
        f"inputs enter the network {rms:.3g} large (root mean square), not about 1"
        if is_large
        else f"inputs hardly vary: their spread is {spread:.2g} around {entry['mean']:.3g}"
    )
    yield Finding(
        "data.unscaled-input",
        words,
        severity="info" if entry["is_normalised_after"] else "warning",
        site=place(values.get("site"), entry["site"]),
        evidence={
            "mean": rounded(entry["mean"]),
            "standard deviation": rounded(spread),
            "smallest": rounded(entry["min"]),
            "largest": rounded(entry["max"]),
            "first layer": str(entry["op"]),
        },
        mechanism="inputs far from unit scale → first outputs and gradients of the wrong size → "
        "the loss starts far from chance and one learning rate cannot suit all layers",
        fix="x = (x - mean) / std   # statistics of the training split; pixels: x / 255 first",
        confidence=0.85,
        explains=(
            "loss.starts-far-from-chance",
            "model.init-too-large",
            "step.learning-rate-too-high",
            "model.dead-units",
            "numeric.non-finite-gradient",
            "numeric.non-finite-loss",
            "numeric.exploding-gradient",
        ),
    )
