from __future__ import annotations

import numpy as np
import pytest
import torch

from mlkit.data import standardize
from mlkit.data.source import Source
from mlkit.data.standardize import Standardizer, byte_moments, moments, recode_categories, standardize_targets
from mlkit.task import Task

NAN = float("nan")


def _source(kind: str, x: torch.Tensor, *rest: torch.Tensor, how: str = "feature", lengths: bool = False) -> Source:
    task = Task("classification", kind, tuple(x.shape[1:]), 2, has_lengths=lengths)  # type: ignore[arg-type]
    return Source("toy", task, (x, *rest), torch.arange(len(x)) % 2, standardize=how, unit=255.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("shape", "axes"), [((500, 4), (0,)), ((60, 3, 5, 6), (0, 2, 3)), ((40, 9, 2), (0, 1))])
@pytest.mark.parametrize("chunk", [1, 100, 1 << 22])
def test_moments_agree_with_numpy_in_any_chunks(
    shape: tuple[int, ...], axes: tuple[int, ...], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standardize, "_CHUNK", chunk)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 100
    x[torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.1] = NAN
    mean, std = moments(x, axes)
    values = x.double().numpy()
    np.testing.assert_allclose(mean.numpy(), np.nanmean(values, axis=axes, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), np.nanstd(values, axis=axes, keepdims=True), rtol=1e-6)


def test_moments_keep_their_digits_far_from_zero() -> None:
    x = torch.tensor([[1e7], [1e7 + 1], [1e7 + 2]])
    mean, std = moments(x, (0,))
    assert mean.item() == 1e7 + 1
    assert std.item() == pytest.approx((2 / 3) ** 0.5, rel=1e-6)


def test_the_deviation_of_a_constant_is_exactly_zero_and_of_nothing_too() -> None:
    x = torch.stack([torch.full((1000,), 0.1), torch.full((1000,), NAN)], dim=1)
    mean, std = moments(x, (0,))
    assert std.tolist() == [[0.0, 0.0]]
    assert mean[0, 0].item() == x[0, 0].item()
    assert mean[0, 1].item() == 0.0
    double = torch.full((1000, 1), 0.1, dtype=torch.float64)  # of which the sum is rounded
    assert moments(double, (0,))[1].item() == 0.0


def test_byte_moments_agree_with_float_arithmetic() -> None:
    images = torch.randint(0, 256, (50, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    mean, std = byte_moments(images)
    torch.testing.assert_close(mean, images.double().mean((0, 2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(std, images.double().std((0, 2, 3), correction=0), rtol=1e-12, atol=0)
    constant = byte_moments(torch.full((3, 1, 2, 2), 77, dtype=torch.uint8))
    assert (constant[0].item(), constant[1].item()) == (77.0, 0.0)


def test_features_are_standardised_by_the_training_rows_alone() -> None:
    train = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    learned = Standardizer.of(_source("vector", train), (train,))
    (applied,) = learned.apply((torch.tensor([[5.0, 7.0]]),))
    assert applied.tolist() == [[3.0, 2.0]]  # mean 2, deviation 1; the constant column is only shifted
    assert learned.apply((train,))[0][:, 1].tolist() == [0.0, 0.0]


def test_missing_values_become_the_training_mean_and_say_so_in_a_column_more() -> None:
    train = torch.tensor([[1.0, NAN, NAN], [3.0, 4.0, NAN]])
    learned = Standardizer.of(_source("table", train), (train,))
    assert learned.missing == (1, 2)
    (applied,) = learned.apply((torch.tensor([[NAN, NAN, 9.0]]),))
    assert applied[0, :2].tolist() == [0.0, 0.0]
    assert applied[0, 3:].tolist() == [1.0, 0.0]  # missing in column 1, there in column 2; column 0 never was in train
    assert bool(learned.apply((train,))[0].isfinite().all())


def test_what_is_given_is_not_changed() -> None:
    train = torch.tensor([[1.0, NAN], [3.0, 4.0]])
    before = train.clone()
    Standardizer.of(_source("vector", train), (train,)).apply((train,))
    assert torch.equal(train.nan_to_num(-1), before.nan_to_num(-1))


def test_padding_is_in_no_statistic_and_becomes_zero() -> None:
    series = torch.zeros(2, 4, 1)
    series[0, :, 0] = torch.tensor([1.0, 3.0, 1e9, 1e9])
    series[1, :, 0] = torch.tensor([1.0, 1.0, 3.0, 3.0])
    inputs = (series, torch.tensor([2, 4]))
    learned = Standardizer.of(_source("series", *inputs, how="channel", lengths=True), inputs)
    applied = learned.apply(inputs)
    assert applied[0][0, :, 0].tolist() == [-1.0, 1.0, 0.0, 0.0]
    assert applied[0][1, :, 0].tolist() == [-1.0, -1.0, 1.0, 1.0]
    assert applied[1] is inputs[1]


def test_byte_images_stay_bytes_and_are_standardised_when_gathered() -> None:
    images = torch.randint(0, 256, (80, 3, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    learned = Standardizer.of(_source("image", images, how="channel"), (images,))
    (stored,) = learned.apply((images,))
    assert stored.data_ptr() == images.data_ptr()
    assert learned.prepare is not None
    x = learned.prepare((stored,))[0]
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_float_images_get_one_mean_and_deviation_a_channel() -> None:
    images = (
        torch.randn(40, 2, 5, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 5.0])[:, None, None]
    )
    (x,) = Standardizer.of(_source("image", images, how="channel"), (images,)).apply((images,))
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(2), atol=1e-5, rtol=0)


def test_categories_are_renumbered_by_train_and_what_is_new_counts_as_missing() -> None:
    number = torch.zeros(3, 1)
    train = (number, torch.tensor([[7, 0], [3, 2], [7, 2]]))
    test = (number, torch.tensor([[3, 1], [5, 2], [9_000_000_000, 0]]))
    recoded, cardinalities = recode_categories({"train": train, "test": test})
    assert cardinalities == (3, 2)
    assert recoded["train"][1].tolist() == [[2, 0], [1, 1], [2, 1]]
    assert recoded["test"][1].tolist() == [[1, 0], [0, 1], [0, 0]]


def test_a_column_that_is_all_missing_in_train_has_one_code() -> None:
    number = torch.zeros(2, 1)
    recoded, cardinalities = recode_categories(
        {"train": (number, torch.zeros(2, 1, dtype=torch.long)), "val": (number, torch.tensor([[4], [0]]))}
    )
    assert cardinalities == (1,)
    assert recoded["val"][1].tolist() == [[0], [0]]


def test_targets_are_in_units_of_the_training_deviation() -> None:
    train, test = torch.tensor([[10.0, 1.0], [30.0, 1.0]]), torch.tensor([[40.0, 2.0]])
    scaled, mean, std = standardize_targets({"train": train, "test": test})
    assert (mean, std) == ((20.0, 1.0), (10.0, 1.0))
    assert scaled["test"].tolist() == [[2.0, 1.0]]
    torch.testing.assert_close(scaled["train"] * torch.tensor(std) + torch.tensor(mean), train)
