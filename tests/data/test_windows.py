from __future__ import annotations

import pytest
import torch

from mlkit.data.splits import WindowSplit
from mlkit.data.windows import Windowing, borders_of, check_borders, check_windowing, window_splits
from mlkit.errors import ConfigError, DataError

STEPS = torch.arange(200.0)[:, None]  # a series that holds its own time
BORDERS = (120, 160, 200)


def _times(split: WindowSplit) -> tuple[torch.Tensor, torch.Tensor]:
    (x,), y = split.gather(torch.arange(len(split)))
    return x[..., 0], y


@pytest.mark.parametrize(("context", "horizon"), [(1, 1), (10, 3), (30, 10), (5, 0)])
@pytest.mark.parametrize("borrow", [False, True])
def test_no_target_is_in_another_split_and_no_input_unless_borrowed(context: int, horizon: int, borrow: bool) -> None:
    windowing = Windowing(context, horizon, borrow_context=borrow)
    series = STEPS if horizon else STEPS[:, 0].to(torch.uint8)
    splits = window_splits("toy", series, BORDERS, windowing)
    for name, begin, end in (("train", 0, 120), ("val", 120, 160), ("test", 160, 200)):
        (x,), y = splits[name].gather(torch.arange(len(splits[name])))
        assert int(y.min()) >= begin + (0 if horizon else 1 - context * borrow)
        assert int(y.max()) == end - 1
        earliest = begin - context if borrow and name != "train" else begin
        assert int(x.min()) == max(earliest, 0)
        assert int(x.max()) < end


@pytest.mark.parametrize("borrow", [False, True])
def test_every_forecast_that_fits_is_made_once(borrow: bool) -> None:
    splits = window_splits("toy", STEPS, BORDERS, Windowing(10, 3, borrow_context=borrow))
    for name, begin, end in (("train", 0, 120), ("val", 120, 160), ("test", 160, 200)):
        x, y = _times(splits[name])
        first = begin if borrow and name != "train" else begin + 10
        assert y[:, 0].tolist() == list(range(first, end - 2))
        assert torch.equal(y, y[:, :1] + torch.arange(3))
        assert torch.equal(x, y[:, :1] - 10 + torch.arange(10))


def test_what_a_split_keeps_holds_nothing_of_another() -> None:
    splits = window_splits("toy", STEPS, BORDERS, Windowing(10, 3))
    kept = {name: set(split.series[:, 0].tolist()) for name, split in splits.items()}
    assert not kept["train"] & kept["val"]
    assert not kept["val"] & kept["test"]
    assert set().union(*kept.values()) == set(STEPS[:, 0].tolist())


def test_strides_of_training_and_evaluation() -> None:
    splits = window_splits("toy", STEPS, BORDERS, Windowing(10, 2, stride=7, eval_stride=5))
    assert splits["train"].starts.diff().unique().tolist() == [7]
    assert splits["val"].starts.diff().unique().tolist() == [5]


def test_an_empty_test_part_is_left_out() -> None:
    assert set(window_splits("toy", STEPS, (120, 200, 200), Windowing(10, 2))) == {"train", "val"}
    assert set(window_splits("toy", STEPS, (120, 200), Windowing(10, 2))) == {"train", "val"}


def test_a_limit_keeps_some_training_windows_and_the_whole_test() -> None:
    whole = window_splits("toy", STEPS, BORDERS, Windowing(10, 2))
    some = window_splits("toy", STEPS, BORDERS, Windowing(10, 2), limit=20, seed=1)
    again = window_splits("toy", STEPS, BORDERS, Windowing(10, 2), limit=20, seed=1)
    other = window_splits("toy", STEPS, BORDERS, Windowing(10, 2), limit=20, seed=2)
    assert len(some["train"]) == 20
    assert len(some["val"]) == round(20 / len(whole["train"]) * len(whole["val"]))
    assert len(some["test"]) == len(whole["test"])
    assert torch.equal(some["train"].starts, again["train"].starts)
    assert not torch.equal(some["train"].starts, other["train"].starts)
    assert int(some["train"].starts.max()) > 60  # over the whole of train, not only its beginning


def test_a_limit_beyond_what_there_is_changes_nothing() -> None:
    whole = window_splits("toy", STEPS, BORDERS, Windowing(10, 2))
    assert {name: len(split) for name, split in whole.items()} == {
        name: len(split) for name, split in window_splits("toy", STEPS, BORDERS, Windowing(10, 2), limit=10_000).items()
    }


def test_splits_that_are_too_short_are_all_told() -> None:
    with pytest.raises(DataError) as caught:
        window_splits("toy", STEPS, BORDERS, Windowing(40, 5))
    message = str(caught.value)
    assert "toy: the val split is too short for a window" in message
    assert "toy: the test split is too short for a window" in message
    assert "at least 45: 40 of context and 5 to forecast" in message
    assert set(window_splits("toy", STEPS, BORDERS, Windowing(40, 5, borrow_context=True))) == {"train", "val", "test"}


@pytest.mark.parametrize(
    "borders", [(), (120,), (0, 10), (120, 120, 200), (160, 120, 200), (120, 160, 201), (1, 2, 3, 4)]
)
def test_borders_that_cannot_be_right_are_refused(borders: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="borders") as caught:
        check_borders("toy", borders, 200)
    assert "ascending, up to 200" in str(caught.value)


@pytest.mark.parametrize(("val", "test"), [(0.0, 0.2), (0.5, 0.5), (0.1, -0.1), (0.9, 0.2)])
def test_shares_that_leave_nothing_are_refused(val: float, test: float) -> None:
    with pytest.raises(ConfigError, match="shares") as caught:
        borders_of(100, val_fraction=val, test_fraction=test)
    assert f"val_fraction={val}, test_fraction={test}" in str(caught.value)


def test_all_sizes_that_are_too_small_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        check_windowing(Windowing(0, 0, stride=0), least_horizon=1, limit=1)
    for name in ("context", "horizon", "stride", "limit"):
        assert f"data.{name} is too small" in str(caught.value)
