from __future__ import annotations

import numpy as np
import pytest
import sklearn.datasets
import torch

from mlkit.data import DataBundle, load
from mlkit.data import bundled as catalogue

NAMES = ("digits", "breast_cancer", "wine", "iris", "diabetes")


def _rows(bundle: DataBundle, name: str) -> set[bytes]:
    split = getattr(bundle, name)
    (x,) = split.gather(torch.arange(len(split))).inputs
    return {row.numpy().tobytes() for row in x.flatten(1)}


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris"])
def test_measurements_are_those_of_scikit_learn(name: str) -> None:
    source = getattr(catalogue, name)()
    reference = getattr(sklearn.datasets, f"load_{name}")()
    np.testing.assert_allclose(source.inputs[0].numpy(), reference.data, rtol=1e-6)
    assert source.targets.tolist() == reference.target.tolist()
    assert source.task.class_names == tuple(reference.target_names)


def test_digits_are_bytes_with_17_levels() -> None:
    source = catalogue.digits()
    reference = sklearn.datasets.load_digits()
    assert source.inputs[0].dtype == torch.uint8
    assert np.array_equal(source.inputs[0][:, 0].numpy(), reference.images)
    assert source.inputs[0].unique().tolist() == list(range(17))


def test_diabetes_is_not_scaled_beforehand() -> None:
    source = catalogue.diabetes()
    assert source.inputs[0][:, 0].min() >= 19  # ages in years
    assert source.targets.tolist() == sklearn.datasets.load_diabetes().target.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_training_inputs_are_standardised_by_themselves(name: str) -> None:
    bundle = load(name)
    (x,) = bundle.train.gather(torch.arange(len(bundle.train))).inputs
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    std = x.std(axes, correction=0)
    torch.testing.assert_close(x.mean(axes), torch.zeros(x.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(std, torch.ones_like(std), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "diabetes"])
def test_no_example_stands_in_two_splits(name: str) -> None:
    bundle = load(name)
    train, val, test = (_rows(bundle, part) for part in ("train", "val", "test"))
    assert len(train) + len(val) + len(test) == sum(len(split) for _, split in bundle.splits())
    assert not train & val
    assert not train & test
    assert not val & test


def test_the_same_seed_gives_the_same_bundle_and_another_seed_another() -> None:
    first, again, other = load("digits", seed=1), load("digits", seed=1), load("digits", seed=2)
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_a_linear_model_beats_the_mean(name: str) -> None:
    """The inputs belong to their targets, whatever was permuted on the way."""
    bundle = load(name)
    assert bundle.test is not None
    parts = []
    for split in (bundle.train, bundle.test):
        (x,), y = split.gather(torch.arange(len(split)))
        ones = torch.ones(len(x), 1)
        parts.append((torch.cat([x.flatten(1), ones], dim=1).double(), y))
    (x, y), (x_test, y_test) = parts
    if bundle.task.kind == "classification":
        targets = torch.nn.functional.one_hot(y, bundle.task.num_outputs).double()
        guess = x_test @ torch.linalg.lstsq(x, targets, driver="gelsd").solution
        assert float((guess.argmax(1) == y_test).double().mean()) > 0.65
    else:
        guess = x_test @ torch.linalg.lstsq(x, y.double(), driver="gelsd").solution
        assert float(1 - (y_test - guess).var() / y_test.var()) > 0.3
