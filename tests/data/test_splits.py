from __future__ import annotations

import torch

from mlkit.data.splits import Affine, TensorSplit, WindowSplit


def test_standardised_compact_images_have_zero_mean_and_unit_deviation() -> None:
    images = torch.randint(0, 256, (200, 3, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    scaled = images.double() / 255
    mean, std = scaled.mean((0, 2, 3), keepdim=True)[0], scaled.std((0, 2, 3), correction=0, keepdim=True)[0]
    split = TensorSplit((images,), torch.zeros(200, dtype=torch.long), Affine.standardize(mean, std, unit=255))
    (x,), _ = split.gather(torch.arange(200))
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert split.inputs[0].dtype == torch.uint8


def test_preparing_float_inputs_does_not_change_what_is_stored() -> None:
    values = torch.rand(5, 3)
    split = TensorSplit((values,), torch.zeros(5), Affine.standardize(torch.ones(3), torch.ones(3)))
    before = values.clone()
    split.gather(torch.arange(5))
    assert split.prepare is not None
    split.prepare((values,))
    assert torch.equal(values, before)


def test_a_constant_channel_becomes_zero() -> None:
    prepare = Affine.standardize(torch.tensor([2.0]), torch.tensor([0.0]))
    assert torch.equal(prepare((torch.full((4, 1), 2.0),))[0], torch.zeros(4, 1))


def test_next_token_targets_are_the_inputs_one_step_later() -> None:
    split = WindowSplit(torch.arange(20, dtype=torch.uint8), torch.tensor([0, 5, 12]), context=6)
    (x,), y = split.gather(torch.tensor([1, 2]))
    assert torch.equal(x[0], torch.arange(5, 11))
    assert torch.equal(y, x + 1)


def test_forecast_targets_follow_the_context() -> None:
    series = torch.stack([torch.arange(20.0), torch.arange(20.0) * 10], dim=1)
    split = WindowSplit(series, torch.tensor([3]), context=4, horizon=2, target_columns=(1,))
    (x,), y = split.gather(torch.tensor([0]))
    assert x.shape == (1, 4, 2)
    assert y.tolist() == [[70.0, 80.0]]


def test_a_gathered_batch_holds_the_rows_of_the_index_in_its_order() -> None:
    images = torch.arange(4 * 3 * 2 * 2, dtype=torch.uint8).reshape(4, 3, 2, 2)
    split = TensorSplit(
        (images, torch.arange(4.0)), torch.tensor([5, 6, 7, 8]), Affine(torch.tensor(2.0), torch.ones(1))
    )
    (x, second), y = split.gather(torch.tensor([3, 0, 3]))
    for row, number in enumerate([3, 0, 3]):
        assert torch.equal(x[row], images[number].float() * 2 + 1)
    assert second.tolist() == [3.0, 0.0, 3.0]
    assert y.tolist() == [8, 5, 8]


def test_a_subset_and_its_subset_hold_what_gather_would_have_given() -> None:
    split = TensorSplit((torch.randn(10, 2),), torch.arange(10))
    chosen = split.subset(torch.tensor([7, 2, 5])).subset(torch.tensor([2, 0]))
    expected, got = split.gather(torch.tensor([5, 7])), chosen.gather(torch.arange(2))
    assert torch.equal(expected.inputs[0], got.inputs[0])
    assert torch.equal(expected.targets, got.targets)
    windows = WindowSplit(torch.arange(30), torch.tensor([0, 4, 9]), context=3).subset(torch.tensor([2, 1]))
    assert windows.gather(torch.arange(2)).inputs[0].tolist() == [[9, 10, 11], [4, 5, 6]]


def test_moving_to_the_device_it_is_on_copies_nothing() -> None:
    split = TensorSplit((torch.randn(5, 2),), torch.arange(5))
    assert split.to("cpu").inputs[0].data_ptr() == split.inputs[0].data_ptr()


def test_splits_with_different_numbers_can_be_compared_and_hashed_as_objects() -> None:
    a, b = TensorSplit((torch.zeros(3),), torch.zeros(3)), TensorSplit((torch.zeros(3),), torch.zeros(3))
    assert a != b
    assert len({a, b}) == 2


def test_a_window_split_tells_all_that_its_windows_depend_on() -> None:
    series, starts = torch.randn(20, 2), torch.tensor([0, 3])
    one = WindowSplit(series, starts, context=4, horizon=2, target_columns=(0,))
    other = WindowSplit(series, starts, context=4, horizon=2, target_columns=(1,))
    assert one.tensors()["window"].tolist() != other.tensors()["window"].tolist()
