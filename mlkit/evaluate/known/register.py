"""The register of published results on data sets of the catalogue, each with its source and how near it is to a run.

Only figures that were read at their source stand here. Not here: comparing a run with them (`.compare`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "official implementation, similar data set",
    "official implementation, benchmark",
    "unofficial implementation",
    "paper without code",
    "your model, benchmark",
    "similar model, similar data set",
    "simple baseline",
]
KINDS: tuple[Kind, ...] = (
    "official implementation, similar data set",
    "official implementation, benchmark",
    "unofficial implementation",
    "paper without code",
    "your model, benchmark",
    "similar model, similar data set",
    "simple baseline",
)
"""From the most to the least useful: the order in which Josh Tobin's "Troubleshooting deep neural networks" (2019)
ranks what to compare with."""


@dataclass(frozen=True)
class Known:
    """A published result.

    Args:
        data: data set, as the catalogue names it.
        model: what was trained, in the source's words.
        ours: the model of ours that is the same architecture; None where none is.
        metric: ``"accuracy"`` or ``"loss"``.
        value: of the metric, on the test part (on the validation part, where ``protocol`` says so).
        protocol: how it was trained and judged, where that matters to a comparison.
        kind: of source.
        source: where the figure stands.
        same_task: whether a run on our data set is judged on the same rows; else the figure is only near.
    """

    data: str
    model: str
    ours: str | None
    metric: Literal["accuracy", "loss"]
    value: float
    protocol: str
    kind: Kind
    source: str
    same_task: bool = True


_LECUN = "LeCun, Bottou, Bengio, Haffner, Proceedings of the IEEE 86(11), 1998, and the table of the MNIST page"
_HE = "He, Zhang, Ren, Sun, Deep residual learning for image recognition, CVPR 2016, table 6"
_AKAMASTER = "github.com/akamaster/pytorch_resnet_cifar10, README"
_KUANGLIU = "github.com/kuangliu/pytorch-cifar, README"
_FASHION = "github.com/zalandoresearch/fashion-mnist, README"
_ADULT = "adult.names of the data set itself (UCI, 1996)"
_FULL_MNIST = "60,000 to train, 10,000 to test"
_CIFAR = "flips and crops, SGD with steps of the rate, about 180 epochs"

_RESNETS = (("resnet20", 0.0875, 0.0827), ("resnet32", 0.0751, 0.0737), ("resnet44", 0.0717, 0.0690))
_DEEP_RESNETS = (("resnet56", 0.0697, 0.0661), ("resnet110", 0.0643, 0.0632))


def _cifar(data: str, *, same_task: bool) -> list[Known]:
    note = "" if same_task else "; the original pixels, not the JPEG copy"
    found = []
    for name, paper, other in (*_RESNETS, *_DEEP_RESNETS):
        title = name.replace("resnet", "ResNet-")
        protocol = f"{_CIFAR}; 45,000 to train{note}"
        found.append(Known(data, title, name, "accuracy", 1 - paper, protocol, "paper without code", _HE, same_task))
        protocol = f"{_CIFAR}; all 50,000 to train{note}"
        kind: Kind = "unofficial implementation"
        found.append(Known(data, title, name, "accuracy", 1 - other, protocol, kind, _AKAMASTER, same_task))
    for name, accuracy in (("resnet18", 0.9302), ("resnet50", 0.9362)):
        title, kind = name.replace("resnet", "ResNet-"), "unofficial implementation"
        protocol = f"small stem; flips and crops; SGD{note}"
        found.append(Known(data, title, name, "accuracy", accuracy, protocol, kind, _KUANGLIU, same_task))
    return found


def _adult() -> list[Known]:
    protocol = "rows with unknowns left out"
    figures = (("C4.5", 0.8446), ("naive Bayes", 0.8388), ("NBTree", 0.859), ("1 nearest neighbour", 0.7858))
    return [
        Known("adult", name, None, "accuracy", value, protocol, "simple baseline", _ADULT, same_task=False)
        for name, value in figures
    ]


def _wine() -> list[Known]:
    source = "Aeberhard, Coomans, de Vel, Tech. Rep. 92-02, 1992, told in scikit-learn's description of the data"
    figures = (("linear discriminant analysis", 0.989), ("1 nearest neighbour, standardised", 0.961))
    return [
        Known("wine", name, None, "accuracy", value, "leave-one-out", "simple baseline", source, same_task=False)
        for name, value in figures
    ]


REGISTER: tuple[Known, ...] = (
    Known(
        "mnist", "LeNet-5", "lenet", "accuracy", 0.9905, f"no distortions, {_FULL_MNIST}", "paper without code", _LECUN
    ),
    Known("mnist", "linear classifier", None, "accuracy", 0.88, _FULL_MNIST, "simple baseline", _LECUN),
    Known("mnist", "k nearest neighbours, Euclidean", None, "accuracy", 0.95, _FULL_MNIST, "simple baseline", _LECUN),
    Known(
        "mnist", "2 convolutions, under 100,000 parameters", None, "accuracy", 0.992, _FULL_MNIST,
        "unofficial implementation", _FASHION,
    ),
    Known(
        "fashion_mnist", "2 convolutions with pooling", "lenet", "accuracy", 0.916, "no augmentation",
        "official implementation, benchmark", _FASHION,
    ),
    Known(
        "fashion_mnist", "2 convolutions with pooling (submitted)", "lenet", "accuracy", 0.876, "no augmentation",
        "unofficial implementation", _FASHION,
    ),
    Known(
        "fashion_mnist", "MLP 256-128-100", "mlp", "accuracy", 0.8833, "no augmentation", "unofficial implementation",
        _FASHION,
    ),
    Known(
        "fashion_mnist", "ResNet-18", "resnet18", "accuracy", 0.949, "flips, shifts and rotations",
        "unofficial implementation", _FASHION,
    ),
    Known(
        "fashion_mnist", "people without training in fashion", None, "accuracy", 0.835,
        "1,000 test images, majority of 3 labels", "similar model, similar data set", _FASHION, same_task=False,
    ),
    Known(
        "fashion_mnist", "gradient-boosted trees (XGBoost)", None, "accuracy", 0.898, "standardised pixels",
        "simple baseline", _FASHION,
    ),
    *_cifar("cifar10", same_task=True),
    *_cifar("cifar10_jpeg", same_task=False),
    *_adult(),
    *_wine(),
    Known(
        "digits", "1 nearest neighbour", None, "accuracy", 0.98,
        "3,823 rows of other writers to train, these 1,797 to test", "simple baseline",
        "optdigits.names of the data set itself (UCI, 1998)", same_task=False,
    ),
    Known(
        "tiny_shakespeare", "transformer of 6 layers, 10.7 million parameters", None, "loss", 1.4697,
        "the last tenth, which is validation there; 256 characters of context", "similar model, similar data set",
        "github.com/karpathy/nanoGPT, README", same_task=False,
    ),
    Known(
        "tiny_shakespeare", "transformer of 4 layers, 3 minutes on a CPU", None, "loss", 1.88,
        "the last tenth, which is validation there; 64 characters of context", "similar model, similar data set",
        "github.com/karpathy/nanoGPT, README", same_task=False,
    ),
)  # fmt: skip
"""All results."""
