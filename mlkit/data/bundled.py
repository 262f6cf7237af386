"""Data sets that come with scikit-learn: small, real, and there without a download.

Not here: splits and statistics (`mlkit.data.pipeline`).
"""

from __future__ import annotations

from typing import Any

import torch

from mlkit.data.source import Source
from mlkit.task import Task

_UCI = {"source": "scikit-learn's copy of the UCI data set"}
_LARS = {"source": "scikit-learn's copy of the data of Efron et al. 2004, Least angle regression"}


def digits() -> Source:
    """Handwritten digits: 1,797 grey images of 8 x 8 pixels with 17 levels, 10 classes.

    >>> digits().inputs[0].shape, digits().inputs[0].dtype
    (torch.Size([1797, 1, 8, 8]), torch.uint8)
    """
    from sklearn.datasets import load_digits

    content = load_digits()
    images = torch.from_numpy(content.images).to(torch.uint8)[:, None]
    task = Task("classification", "image", (1, 8, 8), 10, class_names=tuple(map(str, range(10))))
    return Source(
        "digits",
        task,
        (images,),
        torch.from_numpy(content.target),
        standardize="channel",
        unit=16.0,
        notes=_UCI,
    )


def breast_cancer() -> Source:
    """Breast cancer (Wisconsin, diagnostic): 569 examples, 30 measurements of cell nuclei, malignant or benign."""
    from sklearn.datasets import load_breast_cancer

    return _vectors("breast_cancer", load_breast_cancer())


def wine() -> Source:
    """Wine: 178 examples, 13 chemical measurements, 3 growers."""
    from sklearn.datasets import load_wine

    return _vectors("wine", load_wine())


def iris() -> Source:
    """Iris: 150 flowers, 4 lengths, 3 species."""
    from sklearn.datasets import load_iris

    return _vectors("iris", load_iris())


def diabetes() -> Source:
    """Diabetes: 442 patients, 10 measurements; regression of the progression after one year.

    The raw values: scikit-learn's scaled ones are scaled with the examples that will be the test part.

    Source: Efron, Hastie, Johnstone, Tibshirani 2004, Least angle regression.
    """
    from sklearn.datasets import load_diabetes

    content = load_diabetes(scaled=False)
    x = torch.from_numpy(content.data).float()
    task = Task("regression", "vector", tuple(x.shape[1:]), 1)
    return Source("diabetes", task, (x,), torch.from_numpy(content.target).float(), standardize="feature", notes=_LARS)


def _vectors(name: str, content: Any) -> Source:
    x, classes = torch.from_numpy(content.data).float(), tuple(map(str, content.target_names))
    task = Task("classification", "vector", tuple(x.shape[1:]), len(classes), class_names=classes)
    return Source(name, task, (x,), torch.from_numpy(content.target), standardize="feature", notes=_UCI)
