"""`model.no-nonlinearity`: the network is affine, whatever its number of layers."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("model.no-nonlinearity")
def check(facts: Facts) -> Iterator[Finding]:
    """The layers of the network follow each other without a non-linearity between them.

    A product of matrices is a matrix: however many layers there are, the model can only draw one straight boundary, or
    fit one plane. The loss falls, quickly even, and stops at what a linear model reaches.

    Proof: on the real model in evaluation mode, f(a + b) + f(0) = f(a) + f(b) at three scales of the input, up to the
    output of the last layer with weights; a softmax or sigmoid after it changes nothing.

    Buggy::

        self.net = nn.Sequential(nn.Linear(6, 64), nn.Linear(64, 3))

    Fixed::

        self.net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))

    Healthy look-alikes: logistic and linear regression (one layer); a layer of low rank, that is two layers with a
    narrow middle (at most worth knowing); a linear head on a non-linear backbone.

    Seen in: UMLAUT's study program B; Stack Overflow 46181692, 53138899.
    """
    told = facts.probe("train/affine")
    widths, ends, count = told.get("widths"), told.get("ends"), told.get("layers")
    if not told.get("is_affine") or not isinstance(widths, list) or not isinstance(ends, list):
        return
    assert isinstance(count, int)
    is_low_rank = min(widths) < min(ends) and not told.get("spatial")
    site = told.get("site")
    yield Finding(
        "model.no-nonlinearity",
        f"the network's {count} layers follow each other without a non-linearity: together they are one linear layer",
        severity="info" if is_low_rank and count == 2 else "warning" if is_low_rank else "error",
        site=site if isinstance(site, Site) else None,
        evidence={
            "layers in sequence": count,
            "widths between them": [int(one) for one in widths[:12]],
            "largest deviation from affine": float(f"{told['error']:.2g}"),
        },
        mechanism="a product of matrices is a matrix → the depth adds nothing → the loss stops where a linear "
        "model does",
        fix="an activation between the layers: x = torch.relu(self.first(x))",
        confidence=0.97,
        explains=("step.learning-rate-too-low", "model.too-small"),
    )
