from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from mlkit.data.adapt import as_batches, from_tensors, infer_task
from mlkit.data.augment import mixup
from mlkit.data.batches import SplitBatches
from mlkit.data.loaders import LoaderBatches
from mlkit.data.splits import Batch, TensorSplit, WindowSplit
from mlkit.errors import ConfigError, DataError
from mlkit.task import Task

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 2


def _stored(bundle: Any, name: str = "train") -> TensorSplit:
    return cast(TensorSplit, getattr(bundle, name))


def _first(batches: Any) -> Batch:
    return cast(Batch, next(iter(batches.epoch(0))))


class Examples(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


@pytest.mark.parametrize(
    "x", [X, X.double(), X.half().float(), X.numpy(), X.double().numpy(), X.tolist(), list(X), X.requires_grad_(False)]
)
@pytest.mark.parametrize("y", [Y, Y.to(torch.int32), Y.numpy(), Y.tolist(), list(Y), Y[:, None], Y.bool()])
def test_tensors_arrays_and_lists_give_the_same_bundle(x: Any, y: Any) -> None:
    expected = from_tensors(X, Y)
    got = from_tensors(x, y)
    assert got.task == expected.task
    torch.testing.assert_close(_stored(got).inputs[0], _stored(expected).inputs[0], atol=1e-3, rtol=1e-3)
    assert torch.equal(_stored(got).targets, _stored(expected).targets)
    assert _stored(got).inputs[0].dtype == torch.float32


def test_what_is_given_is_neither_kept_nor_changed() -> None:
    x, y = X.numpy().copy(), Y.numpy().copy()
    bundle = from_tensors(x, y, standardize=True)
    assert np.array_equal(x, X.numpy())
    before = _stored(bundle).inputs[0].clone()
    x[:] = 7
    assert torch.equal(_stored(bundle).inputs[0], before)


def test_arrays_that_torch_cannot_read_as_they_are_are_copied() -> None:
    for x in (X.numpy()[::-1], X.numpy().astype(">f4"), np.asfortranarray(X.numpy())):
        for y in (Y.numpy()[::-1], Y.numpy().astype(">i4")):
            assert len(from_tensors(x, y).train) == 36
    frozen = X.numpy().copy()
    frozen.setflags(write=False)
    assert len(from_tensors(frozen, Y).train) == 36


def test_whole_numbers_are_features_in_arrays_and_tokens_in_tensors() -> None:
    whole = torch.arange(120).reshape(40, 3)
    assert from_tensors(whole.numpy(), Y).task.input_kind == "vector"
    assert _stored(from_tensors(whole.tolist(), Y)).inputs[0].dtype == torch.float32
    tokens = from_tensors(whole, Y)
    assert (tokens.task.input_kind, tokens.task.vocab_size) == ("tokens", 120)


def test_whole_numbers_with_a_target_a_step_are_tokens_in_arrays_too() -> None:
    text = np.arange(160).reshape(40, 4) % 7
    for x, y in ((text, (text + 1) % 7), (text.tolist(), text.tolist())):
        bundle = from_tensors(x, y)
        assert (bundle.task.kind, bundle.task.num_outputs) == ("next_token", 7)
        assert _stored(bundle).inputs[0].dtype == torch.int64
        assert _first(as_batches((x, y))).inputs[0].dtype == torch.int64  # type: ignore[index]
    classes = from_tensors(text, Y, task=Task("classification", "tokens", (4,), 2, vocab_size=7))
    assert _stored(classes).inputs[0].dtype == torch.int64


def test_further_inputs_stay_whole_codes_and_lengths() -> None:
    codes = np.arange(80).reshape(40, 2) % 5
    table = from_tensors((X.numpy(), codes), Y)
    assert (table.task.input_kind, table.task.cardinalities) == ("table", (5, 5))
    series = from_tensors((np.zeros((40, 6, 2)), [6] * 40), Y)
    assert (series.task.input_kind, series.task.has_lengths) == ("series", True)


def test_grey_bytes_get_a_channel_and_are_divided_by_255() -> None:
    images = torch.randint(0, 256, (40, 5, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    bundle = from_tensors(images, Y)
    assert bundle.task.input_shape == (1, 5, 5)
    assert _stored(bundle).inputs[0].dtype == torch.uint8
    x = bundle.val.gather(torch.arange(4)).inputs[0]  # type: ignore[index]
    torch.testing.assert_close(x, _stored(bundle, "val").inputs[0].float() / 255)
    torch.testing.assert_close(_first(as_batches((images, Y), batch_size=40)).inputs[0], images[:, None].float() / 255)  # type: ignore[index]


def test_channels_at_the_end_are_refused() -> None:
    for call in (from_tensors, lambda x, y: as_batches((x, y))):
        with pytest.raises(DataError, match="seem to be the last axis") as caught:
            call(torch.zeros(40, 8, 8, 3), Y)
        assert "x.permute(0, 3, 1, 2)" in str(caught.value)


def test_text_labels_are_numbered_by_the_alphabet_over_all_parts() -> None:
    words = np.array(["dog", "cat"] * 20)
    bundle = from_tensors(X, words, val=(X[:3], ["ant", "dog", "cat"]), test=(X[:1], ["dog"]))
    assert bundle.task.class_names == ("ant", "cat", "dog")
    assert _stored(bundle, "val").targets.tolist() == [0, 2, 1]
    assert _stored(bundle, "test").targets.tolist() == [2]
    assert from_tensors(X, words.astype("S")).task.class_names == ("cat", "dog")
    assert from_tensors(X, words.astype(object)).task.class_names == ("cat", "dog")


def test_text_labels_follow_the_names_of_a_task_that_is_given() -> None:
    task = Task("classification", "vector", (3,), 2, class_names=("dog", "cat"))
    bundle = from_tensors(X, ["dog", "cat"] * 20, val=(X[:2], ["cat", "dog"]), task=task)
    assert _stored(bundle, "val").targets.tolist() == [1, 0]
    with pytest.raises(DataError, match="unknown label") as caught:
        from_tensors(X, ["dog", "catt"] * 20, task=task)
    assert "did you mean 'cat'?" in str(caught.value)
    nameless = from_tensors(X, ["dog", "cat"] * 20, task=Task("classification", "vector", (3,), 2))
    assert nameless.task.class_names == ("cat", "dog")


@pytest.mark.parametrize("missing", [None, float("nan"), {}])
def test_a_missing_label_never_becomes_a_class(missing: object) -> None:
    labels = np.array(["a", "b"] * 20, dtype=object)
    labels[7] = missing
    with pytest.raises(DataError, match="a label is missing or no label") as caught:
        from_tensors(X, labels)
    assert "in row 7" in str(caught.value)


def test_text_labels_of_one_part_alone_are_refused_since_another_part_would_be_numbered_differently() -> None:
    with pytest.raises(DataError, match="text need to be numbered") as caught:
        as_batches((X, ["dog", "cat"] * 20))
    assert "from_tensors(x, y, val=" in str(caught.value)


def test_floats_are_a_regression_with_targets_in_a_column() -> None:
    bundle = from_tensors(X, X[:, 0].double().numpy())
    assert bundle.task.kind == "regression"
    assert _stored(bundle).targets.shape == (36, 1)
    assert _stored(bundle).targets.dtype == torch.float32
    assert bundle.task.target_std == ()
    scaled = from_tensors(X, X[:, 0] * 9 + 4, standardize=True)
    assert float(_stored(scaled).targets.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_float_labels_where_classes_are_wanted_are_refused() -> None:
    with pytest.raises(DataError, match="classes must be whole numbers"):
        from_tensors(X, Y.float(), task=Task("classification", "vector", (3,), 2))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_out_of_range_is_named_by_its_row(label: int) -> None:
    y = Y.clone()
    y[11] = label
    with pytest.raises(DataError, match="label out of range") as caught:
        from_tensors(X, y, task=Task("classification", "vector", (3,), 2))
    assert f"{label} in row 11" in str(caught.value)


def test_labels_of_minus_one_and_one_are_refused_whatever_the_task_is_taken_from() -> None:
    y = Y * 2 - 1
    with pytest.raises(DataError, match="number the classes from 0"):
        from_tensors(X, y)
    for data in ((X, y), Examples(list(zip(X, y, strict=True))), DataLoader(TensorDataset(X, y))):
        with pytest.raises(DataError, match="number the classes from 0"):
            infer_task(data)


def test_nan_is_named_unless_it_is_to_be_filled_in() -> None:
    x = X.clone()
    x[6, 1] = float("nan")
    with pytest.raises(DataError, match="not finite") as caught:
        from_tensors(x, Y)
    assert "nan at row 6, column 1" in str(caught.value)
    filled = from_tensors(x, Y, standardize=True)
    assert all(bool(_stored(filled, name).inputs[0].isfinite().all()) for name in ("train", "val"))


def test_given_parts_are_used_as_they_are() -> None:
    bundle = from_tensors(X, Y, val=(X[:4] + 1, Y[:4]), test=(X[:6] + 2, Y[:6]))
    assert [len(split) for _, split in bundle.splits()] == [40, 4, 6]
    assert torch.equal(_stored(bundle).inputs[0], X)
    assert torch.equal(_stored(bundle, "test").inputs[0], X[:6] + 2)


def test_held_out_parts_share_the_classes_and_not_the_statistics() -> None:
    more = from_tensors(X, Y, val=(X[:3] * 100, torch.tensor([0, 1, 2])), standardize=True)
    assert more.task.num_outputs == 3
    other = from_tensors(X, Y, val=(X[:3], torch.tensor([0, 1, 2])), standardize=True)
    assert torch.equal(_stored(more).inputs[0], _stored(other).inputs[0])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, Y[:-1], "inputs and targets differ in length"),
        (5.0, 1, "inputs and targets differ in length"),
        ([[1.0], [1.0, 2.0]], [0, 1], "rows are of different lengths"),
        ([torch.zeros(2), torch.zeros(3)], [0, 1], "rows are of different lengths"),
        ([["a"], ["b"]], [0, 1], "inputs must be numbers"),
        ({"a": X}, Y, "inputs by name"),
        ((), Y, "there are no inputs"),
        (X, torch.zeros(40, 2, dtype=torch.long), "of no known kind"),
    ],
)
def test_what_cannot_be_data_is_refused(x: Any, y: Any, message: str) -> None:
    for call in (from_tensors, lambda x, y: infer_task((x, y))):
        with pytest.raises(DataError, match=message):
            call(x, y)


def test_a_part_that_does_not_fit_is_named() -> None:
    with pytest.raises(DataError, match="val: inputs and targets differ in length"):
        from_tensors(X, Y, val=(X, Y[:3]))
    with pytest.raises(DataError, match=r"test must be a pair \(x, y\)") as caught:
        from_tensors(X, Y, test=(X, Y, Y))  # type: ignore[arg-type]
    assert "tuple of length 3" in str(caught.value)
    with pytest.raises(DataError, match="the validation part has other shapes"):
        from_tensors(X, Y, val=(X[:, :2], Y))


def test_bytes_to_train_on_and_floats_to_test_on_are_refused_rather_than_cut_to_zero() -> None:
    images = torch.randint(0, 256, (40, 1, 4, 4)).to(torch.uint8)
    with pytest.raises(DataError, match="another dtype"):
        from_tensors(images, Y, test=(images.float() / 255, Y))


def test_batches_of_a_pair_do_not_copy_the_tensors() -> None:
    batches = cast(SplitBatches, as_batches((X, Y), batch_size=16, shuffle=True, seed=3))
    split = cast(TensorSplit, batches.split)
    assert split.inputs[0].data_ptr() == X.data_ptr()
    assert split.targets.data_ptr() == Y.data_ptr()
    for inputs, targets in batches.epoch(0):
        rows = [int((row == X).all(1).nonzero()[0, 0]) for row in inputs[0]]  # type: ignore[index]
        assert torch.equal(Y[rows], targets)


@pytest.mark.parametrize("data", [(X, Y), [X, Y], (X.numpy(), Y.tolist()), TensorDataset(X, Y), ((X,), Y)])
def test_whatever_is_resident_is_gathered_in_the_same_keyed_order(data: Any) -> None:
    expected = [batch.targets for batch in as_batches((X, Y), batch_size=7, shuffle=True, seed=5).epoch(2)]
    got = as_batches(data, batch_size=7, shuffle=True, seed=5)
    assert isinstance(got, SplitBatches)
    assert all(torch.equal(a, b.targets) for a, b in zip(expected, got.epoch(2), strict=True))


def test_a_tensor_data_set_that_does_more_is_read_as_it_wants() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, i: int) -> tuple[Tensor, ...]:
            return 2 * self.tensors[0][i], self.tensors[1][i]

    batches = as_batches(Doubled(X, Y), batch_size=8)
    assert torch.equal(_first(batches).inputs[0], 2 * X[:8])  # type: ignore[index]


def test_a_data_set_a_loader_a_split_and_batches_are_all_batches() -> None:
    dataset = Examples(list(zip(X, Y.tolist(), strict=True)))
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=4)
    bundle = from_tensors(X, Y)
    for data, sizes in ((dataset, [16, 16, 8]), (loader, [4] * 10), (bundle.train, [16, 16, 4])):
        batches = as_batches(data, batch_size=16)
        assert [len(batch.targets) for batch in batches.epoch(0)] == sizes
        assert as_batches(batches) is batches


def test_a_split_is_recognised_without_making_the_targets_of_all_its_windows() -> None:
    class Wide(WindowSplit):
        @property
        def targets(self) -> Tensor:
            raise AssertionError("never needed as a whole")

    split = Wide(torch.arange(50, dtype=torch.uint8), torch.arange(40), context=8)
    assert _first(as_batches(split, batch_size=4)).targets.shape == (4, 8)
    assert infer_task(split) == Task("next_token", "tokens", (8,), 50, vocab_size=50)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, r"data must be a pair \(x, y\)"),
        (X.numpy(), r"data must be a pair \(x, y\)"),
        ((X, Y, Y), r"data must be a pair \(x, y\)"),
        ("digits", "not a data set"),
        (None, "not a data set"),
        (from_tensors(X, Y), "one split of a data bundle"),
        ((X[:0], Y[:0]), "there are no examples"),
        ([], "there are no examples"),
    ],
)
def test_what_holds_no_examples_is_refused(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_batches(data)


def test_a_batch_size_that_cannot_be_right_is_refused() -> None:
    for data in ((X, Y), Examples([(X[0], 1)])):
        with pytest.raises(ConfigError, match="batch_size"):
            as_batches(data, batch_size=0)


def test_the_task_is_the_same_however_the_data_comes() -> None:
    y = torch.arange(40) % 5
    expected = Task("classification", "vector", (3,), 5)
    dataset = Examples(list(zip(X, y.tolist(), strict=True)))
    bundle = from_tensors(X, y)
    for data in ((X, y), dataset, DataLoader(dataset, batch_size=2), TensorDataset(X, y), bundle, bundle.train):
        assert infer_task(data) == expected
    batches = as_batches((X, y))
    assert infer_task(batches) == infer_task(as_batches(dataset, batch_size=3)) == expected


def test_the_task_of_batches_of_ones_own_covers_all_of_them() -> None:
    class Own:
        num_examples = 6

        def __len__(self) -> int:
            return 3

        def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
            for number in range(start, 3):
                yield Batch((torch.full((2, 4), 10 * number),), torch.tensor([number, 0]))

    assert infer_task(Own()) == Task("classification", "tokens", (4,), 3, vocab_size=21)


def test_the_vocabulary_and_the_categories_cover_all_examples_not_only_the_first_batch() -> None:
    tokens = torch.zeros(100, 3, dtype=torch.long)
    tokens[99] = 41
    y = torch.arange(100) % 2
    assert infer_task((tokens, y)).vocab_size == 42
    assert infer_task(Examples(list(zip(tokens, y, strict=True)))).vocab_size == 42
    floats = torch.zeros(100, 2)
    assert infer_task(((floats, tokens), y)).cardinalities == (42, 42, 42)
    regression = Examples([(x, codes, 0.5) for x, codes in zip(floats, tokens, strict=True)])
    assert infer_task(regression).cardinalities == (42, 42, 42)


def test_a_data_set_that_knows_its_classes_is_not_read_through() -> None:
    class Counting(Examples):
        classes = ("ant", "bee", "cat")
        read = 0

        def __getitem__(self, i: int) -> Any:
            Counting.read += 1
            return super().__getitem__(i)

    dataset = Counting([(X[0], 0)] * 20_000)
    task = infer_task(dataset)
    assert (task.num_outputs, task.class_names) == (3, ("ant", "bee", "cat"))
    assert Counting.read < 10_000


def test_a_data_set_that_does_not_is_read_through_once() -> None:
    class Counting(Examples):
        read = 0

        def __getitem__(self, i: int) -> Any:
            Counting.read += 1
            return super().__getitem__(i)

    assert infer_task(Counting([(X[0], i % 7) for i in range(500)])).num_outputs == 7
    assert Counting.read == 500


def test_an_augmentation_does_not_change_what_the_task_is() -> None:
    dataset = Examples(list(zip(X, Y.tolist(), strict=True)))
    for batches in (
        as_batches(dataset, augment=mixup(num_classes=2)),
        as_batches((X, Y), augment=mixup(num_classes=2)),
    ):
        assert infer_task(batches).kind == "classification"


def test_finding_out_leaves_the_global_generators_alone() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from ((torch.rand(2), i % 3) for i in range(9))

    before = torch.get_rng_state()
    assert infer_task(DataLoader(Stream(), batch_size=2)).num_outputs == 3
    assert torch.equal(before, torch.get_rng_state())


def test_inputs_by_name_come_through_a_data_set() -> None:
    dataset = Examples([({"a": X[i], "b": X[i].double().numpy()}, int(Y[i])) for i in range(40)])
    batch = _first(as_batches(dataset, batch_size=4))
    assert isinstance(batch.inputs, dict)
    assert {name: x.dtype for name, x in batch.inputs.items()} == {"a": torch.float32, "b": torch.float32}
    assert infer_task(dataset).num_outputs == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tensors_on_a_gpu_give_the_bundle_that_they_give_on_the_cpu_and_stay_there_as_batches() -> None:
    expected = from_tensors(X, Y, standardize=True)
    assert from_tensors(X.cuda(), Y.cuda(), standardize=True).fingerprint == expected.fingerprint
    x = X.cuda()
    batches = cast(SplitBatches, as_batches((x, Y.cuda()), device="cuda", shuffle=True))
    assert cast(TensorSplit, batches.split).inputs[0].data_ptr() == x.data_ptr()
    moved = expected.to("cuda")
    for batch in SplitBatches(moved.train, 8, shuffle=True).epoch(0):
        assert batch.targets.device.type == batch.inputs[0].device.type == "cuda"  # type: ignore[index]
    loaded = LoaderBatches(DataLoader(TensorDataset(X, Y), batch_size=8), device="cuda")
    assert _first(loaded).targets.device.type == "cuda"
