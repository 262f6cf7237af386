from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlkit.data.augment import AUGMENTATIONS, crop, erase, flip, make_augment, mixup, noise, rotate, shift, turned
from mlkit.data.batches import Augment, SplitBatches
from mlkit.data.splits import Batch, TensorSplit
from mlkit.errors import ConfigError, DataError
from mlkit.task import Task

IMAGES = Task("classification", "image", (3, 6, 7), 4)
SERIES = Task("classification", "series", (5, 2), 4)


def _stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(n: int = 32, height: int = 6, width: int = 7) -> Tensor:
    return torch.randn(n, 3, height, width, generator=_stream(7))


def _apply(augment: Augment, x: Tensor, seed: int = 0) -> Tensor:
    y = torch.arange(len(x))
    batch = augment(Batch((x,), y), _stream(seed))
    assert batch.targets is y
    assert isinstance(batch.inputs, tuple)
    return batch.inputs[0]


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_a_batch_is_a_pure_function_of_the_generator_that_is_given(name: str) -> None:
    augment = make_augment(name, task=IMAGES)
    x, y = _images(), torch.arange(32) % 4
    before = torch.get_rng_state()
    one, again, other = (augment(Batch((x,), y), _stream(seed)).inputs[0] for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_what_is_given_is_not_changed_and_shape_and_dtype_stay(name: str) -> None:
    x, y = _images(), torch.arange(32) % 4
    before = x.clone(), y.clone()
    (new,) = make_augment(name, task=IMAGES)(Batch((x,), y), _stream()).inputs
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert isinstance(new, Tensor)
    assert (new.shape, new.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("name", ["flip", "crop", "shift", "rotate", "erase", "noise"])
def test_every_example_has_its_own_draw(name: str) -> None:
    same = _images(1).expand(32, -1, -1, -1).contiguous()
    new = _apply(make_augment(name), same)
    assert len({tuple(image.flatten().tolist()) for image in new}) >= 2


@pytest.mark.parametrize("name", ["flip", "crop", "shift", "rotate", "erase"])
def test_all_channels_of_an_image_change_alike(name: str) -> None:
    one = _images()[:, :1].expand(-1, 3, -1, -1).contiguous()
    new = _apply(make_augment(name), one)
    assert torch.equal(new[:, 0], new[:, 2])


def test_flipping_twice_gives_the_image_back() -> None:
    x = _images()
    assert torch.equal(_apply(flip(1.0), _apply(flip(1.0), x)), x)
    assert torch.equal(_apply(flip(1.0), x), torch.from_numpy(np.ascontiguousarray(x.numpy()[..., ::-1])))
    assert torch.equal(_apply(flip(0.0), x), x)


def test_flips_happen_as_often_as_asked_for() -> None:
    x = torch.arange(2.0).reshape(1, 1, 1, 2).expand(4000, 1, 1, 2)
    flipped = _apply(flip(0.3), x)[:, 0, 0, 0]
    assert float(flipped.mean()) == pytest.approx(0.3, abs=0.03)


_FILLS: dict[str, Any] = {"reflect": "reflect", "edge": "edge", "zero": "constant"}  # NumPy's words for them


@pytest.mark.parametrize("fill", list(_FILLS))
@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("make", [crop, shift])
def test_a_crop_is_a_window_of_the_padded_image(make: Any, padding: int, fill: str) -> None:
    x = _images(64)
    new = _apply(make(padding, fill), x)
    edges = ((0, 0), (padding, padding), (padding, padding))
    places = set()
    for image, cut in zip(x.numpy(), new.numpy(), strict=True):
        padded = np.pad(image, edges, mode=_FILLS[fill])
        found = [
            (top, left)
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
            if np.array_equal(padded[:, top : top + 6, left : left + 7], cut)
        ]
        assert found
        places.add(found[0])
    assert len(places) > min((2 * padding + 1) ** 2, 64) / 2


def test_every_place_of_a_crop_is_as_likely() -> None:
    x = torch.arange(3.0).reshape(1, 1, 1, 3).expand(9000, 1, 1, 3).contiguous()
    first = _apply(crop(1, "zero"), x)[:, 0, 0, 1]  # the middle pixel comes from 0, 1 or 2, or from beyond the row
    kept = [float((first == value).float().mean()) for value in (1.0, 2.0)]
    assert kept == pytest.approx([1 / 9, 1 / 9], abs=0.02)


def test_a_padding_wider_than_the_image_folds_more_than_once() -> None:
    x = _images(40, height=3, width=2)
    new = _apply(crop(7), x)
    folded = {tuple(np.pad(np.arange(3), 7, mode="reflect")[top : top + 3]) for top in range(15)}
    for image, cut in zip(x, new, strict=True):
        rows = [[int((image[0] == pixel).nonzero()[0, 0]) for pixel in line[:1]] for line in cut[0]]
        assert tuple(row[0] for row in rows) in folded


def test_a_shift_of_nothing_and_a_turn_of_nothing_change_nothing() -> None:
    x = _images()
    assert torch.equal(_apply(shift(0), x), x)
    assert torch.equal(_apply(crop(0), x), x)
    torch.testing.assert_close(_apply(rotate(0.0), x), x)


@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
@pytest.mark.parametrize("fill", ["edge", "zero", "reflect"])
def test_a_turn_by_quarters_only_moves_pixels(quarters: int, fill: Any) -> None:
    x = torch.randn(4, 3, 8, 8, generator=_stream())
    new = turned(x, torch.full((4,), quarters * math.pi / 2), fill)
    torch.testing.assert_close(new, torch.rot90(x, quarters, (2, 3)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("degrees", [17.0, 120.0])
def test_a_turn_agrees_with_bilinear_interpolation_by_hand_on_oblong_images(degrees: float) -> None:
    x = torch.randn(1, 1, 5, 8, generator=_stream())
    new = turned(x, torch.tensor([math.radians(degrees)]), "zero")[0, 0].numpy()
    np.testing.assert_allclose(new, _turned_by_hand(x[0, 0].numpy(), math.radians(degrees)), atol=1e-5)


def _turned_by_hand(image: np.ndarray, angle: float) -> np.ndarray:
    """Counter-clockwise to the eye (rows run downwards) around the middle; zero outside."""
    height, width = image.shape
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            right, up = column - (width - 1) / 2, (height - 1) / 2 - row
            # where the pixel was before the turn
            x = right * math.cos(-angle) - up * math.sin(-angle) + (width - 1) / 2
            y = (height - 1) / 2 - (right * math.sin(-angle) + up * math.cos(-angle))
            for r, c in ((math.floor(y) + dy, math.floor(x) + dx) for dy in (0, 1) for dx in (0, 1)):
                if 0 <= r < height and 0 <= c < width:
                    result[row, column] += image[r, c] * (1 - abs(y - r)) * (1 - abs(x - c))
    return result


def test_angles_are_uniform_up_to_the_largest_on_both_sides() -> None:
    drawn = 2 * torch.rand(16, generator=_stream(3)) - 1
    x = torch.randn(16, 1, 9, 9, generator=_stream())
    torch.testing.assert_close(_apply(rotate(30.0), x, seed=3), turned(x, drawn * math.radians(30.0)))


@pytest.mark.parametrize("size", [1, 2, 5, 50])
def test_erasing_sets_one_rectangle_of_at_most_the_size_to_zero(size: int) -> None:
    x = torch.ones(200, 3, 6, 7)
    new = _apply(erase(size), x)
    for image in new[:, 0]:
        rows, columns = (image == 0).any(1).nonzero()[:, 0], (image == 0).any(0).nonzero()[:, 0]
        assert len(rows) >= 1
        assert len(columns) >= 1
        assert max(len(rows), len(columns)) <= size
        top, left = int(rows[0]), int(columns[0])
        expected = torch.ones(6, 7)
        expected[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1] = 0
        assert torch.equal(image, expected)


def test_the_middle_of_what_is_erased_is_anywhere_with_equal_chance() -> None:
    new = _apply(erase(1), torch.ones(42_000, 1, 6, 7))
    share = (new == 0).float().mean(dim=(0, 1))
    torch.testing.assert_close(share, torch.full((6, 7), 1 / 42), atol=0.004, rtol=0)


def test_mixed_targets_are_shares_and_go_with_the_mixed_inputs() -> None:
    y = torch.arange(16) % 4
    x = torch.nn.functional.one_hot(y, 4).float()  # so the input says what the target has to be
    inputs, targets = mixup(1.0, num_classes=4)(Batch((x,), y), _stream())
    assert isinstance(inputs, tuple)
    torch.testing.assert_close(targets.sum(1), torch.ones(16))
    assert float(targets.min()) >= 0
    torch.testing.assert_close(inputs[0], targets)
    assert bool(((targets > 0).sum(1) == 2).any())


def test_a_mixture_lies_between_its_two_examples() -> None:
    x = torch.randn(64, 5, generator=_stream())
    (mixed,), y = mixup(0.5)(Batch((x,), x[:, :1]), _stream(1))
    assert isinstance(mixed, Tensor)
    for row, new in enumerate(mixed):
        # on the line from its own example to one of the others
        directions, step = x - x[row], new - x[row]
        share = (directions @ step) / directions.square().sum(1).clamp_min(1e-9)
        off = (share[:, None] * directions - step).abs().amax(1)
        best = int(off.argmin())
        assert float(off[best]) < 1e-4
        assert -1e-5 <= float(share[best]) <= 1 + 1e-5
    torch.testing.assert_close(y, mixed[:, :1])  # regression targets are mixed alike


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0])
def test_shares_are_drawn_from_the_beta_distribution(alpha: float) -> None:
    y = torch.arange(80_000) % 2
    _, targets = mixup(alpha, num_classes=2)(Batch((torch.zeros(80_000, 1),), y), _stream())
    other = targets[y == 0, 1]  # 1 - share where the partner is of the other class, as is every second, else 0
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
    square = 1 / (4 * (2 * alpha + 1)) + 1 / 4
    assert float(other.mean()) == pytest.approx(1 / 2 / 2, abs=0.01)
    assert float(other.square().mean()) == pytest.approx(square / 2, abs=0.01)


def test_an_extreme_alpha_gives_shares_that_are_numbers() -> None:
    _, targets = mixup(0.001, num_classes=3)(Batch((torch.randn(999, 2),), torch.arange(999) % 3), _stream())
    assert bool(targets.isfinite().all())
    torch.testing.assert_close(targets.sum(1), torch.ones(999))


def test_noise_has_the_deviation_asked_for_and_no_mean() -> None:
    x = torch.zeros(200, 50, 4)
    added = _apply(noise(0.3), x)
    assert float(added.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(added.std()) == pytest.approx(0.3, rel=0.02)
    assert torch.equal(_apply(noise(0.0), x), x)


def test_noise_stays_off_the_padding_of_series() -> None:
    task = Task("classification", "series", (5, 2), 2, has_lengths=True)
    x, lengths = torch.zeros(3, 5, 2), torch.tensor([2, 5, 1])
    inputs, _ = make_augment("noise(1.0)", task=task)(Batch((x, lengths), torch.zeros(3)), _stream())
    assert isinstance(inputs, tuple)
    for series, length in zip(inputs[0], lengths.tolist(), strict=True):
        assert bool((series[:length] != 0).all())
        assert bool((series[length:] == 0).all())
    assert inputs[1] is lengths


def test_only_the_first_input_is_changed_and_mappings_stay_mappings() -> None:
    other = torch.arange(4)
    named = flip(1.0)(Batch({"pixels": _images(4), "size": other}, other), _stream()).inputs
    assert list(named) == ["pixels", "size"]
    assert isinstance(named, dict)
    assert torch.equal(named["pixels"], _images(4).flip(3))
    assert named["size"] is other


def test_a_list_is_applied_in_its_order() -> None:
    x = _images()
    both = make_augment(["crop(2)", {"name": "erase", "size": 3}])
    stream = _stream()
    step = erase(3)(crop(2)(Batch((x,), torch.arange(32)), stream), stream)
    assert torch.equal(_apply(both, x), step.inputs[0])  # type: ignore[index]
    assert torch.equal(_apply(make_augment([]), x), x)


@pytest.mark.parametrize(
    "spec",
    [
        "crop(2, fill=edge)",
        "crop(2, edge)",
        " crop( padding = 2 , fill='edge') ",
        {"name": "crop", "padding": 2, "fill": "edge"},
    ],
)
def test_all_ways_to_write_parameters_mean_the_same(spec: Any) -> None:
    assert torch.equal(_apply(make_augment(spec), _images()), _apply(crop(2, "edge"), _images()))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("flipp", "did you mean 'flip'?"),
        ("crop(paddin=3)", "did you mean 'padding'?"),
        ("crop(3, 4, 5)", "too many parameters for 'crop'"),
        ("crop(3, padding=4)", "'padding' of 'crop' is given twice"),
        ("crop(2.5)", "a whole number"),
        ("crop(x)", "wrong value for 'padding' of 'crop'"),
        ("crop(-1)", "'padding' of 'crop' is out of range"),
        ("crop(2, fill=mirror)", "reflect, edge, zero"),
        ("crop(2", "not an augmentation"),
        ("flip(1.5)", "0.0 to 1.0"),
        ("flip(nan)", "out of range"),
        ("shift(-2)", "'pixels' of 'shift'"),
        ("rotate(200)", "0.0 to 180.0"),
        ("erase(0)", "1 to 1024"),
        ("mixup(0)", "'alpha' of 'mixup'"),
        ("noise(-0.1)", "'std' of 'noise'"),
        ({"name": "flip", "probability": True}, "a number"),
        ({"padding": 3}, "unknown augmentation"),
        (3, "not an augmentation"),
    ],
)
def test_what_cannot_be_meant_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_augment([spec])
    assert message in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_augment(["flipp", "crop(pad=1)", "mixup", "erase"], task=Task("next_token", "tokens", (5,), 9))
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("task", "fitting"),
    [
        (IMAGES, {"flip", "crop", "shift", "rotate", "erase", "noise", "mixup"}),
        (SERIES, {"noise", "mixup"}),
        (Task("classification", "series", (5, 2), 4, has_lengths=True), {"noise"}),
        (Task("regression", "vector", (5,), 1), {"noise", "mixup"}),
        (Task("classification", "table", (5,), 2), {"noise"}),
        (Task("next_token", "tokens", (5,), 9), set()),
    ],
)
def test_only_what_fits_the_data_is_accepted(task: Task, fitting: set[str]) -> None:
    for name in fitting:
        make_augment(name, task=task)
    for name in set(AUGMENTATIONS) - fitting:
        with pytest.raises(ConfigError, match=f"leave '{name}' out"):
            make_augment(name, task=task)


def test_data_that_turn_out_not_to_fit_are_refused_with_the_name_that_was_written() -> None:
    for name in ("flip", "crop", "shift", "rotate", "erase"):
        with pytest.raises(DataError, match=f"'{name}' is for images"):
            make_augment(name)(Batch((torch.zeros(2, 5),), torch.zeros(2)), _stream())
    tokens = Batch((torch.zeros(2, 5, dtype=torch.long),), torch.zeros(2))
    for name in ("noise", "mixup"):
        with pytest.raises(ConfigError, match=f"{name} is for"):
            make_augment(name)(tokens, _stream())


def test_mixing_classes_without_their_number_says_how_to_give_it() -> None:
    batch = Batch((torch.zeros(2, 3),), torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match="needs their number") as caught:
        mixup()(batch, _stream())
    assert "mixup(0.2, num_classes=10)" in str(caught.value)
    assert make_augment("mixup", task=SERIES)(batch, _stream()).targets.shape == (2, 4)


def test_batches_are_augmented_by_the_key_of_seed_epoch_and_batch() -> None:
    split = TensorSplit((_images(20),), torch.arange(20))
    augment = make_augment(["crop(2)", "erase(2)"])

    def seen(seed: int, epoch: int, start: int = 0) -> list[Tensor]:
        batches = SplitBatches(split, 8, shuffle=True, seed=seed, augment=augment)
        return [x for (x, *_), _ in batches.epoch(epoch, start=start) if isinstance(x, Tensor)]

    assert all(torch.equal(a, b) for a, b in zip(seen(0, 1)[1:], seen(0, 1, start=1), strict=True))
    assert not torch.equal(seen(0, 1)[0], seen(1, 1)[0])
