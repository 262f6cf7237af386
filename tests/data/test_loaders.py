from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
)

from mlkit.data.batches import Batches
from mlkit.data.loaders import LoaderBatches, batch_of, from_dataset, move
from mlkit.data.splits import Batch
from mlkit.errors import ConfigError, DataError


class Numbers(Dataset[tuple[Tensor, int]]):
    """Example i is (i, …) and draws from every global generator there is."""

    def __init__(self, n: int = 24) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return torch.tensor([float(i), float(torch.rand(())), random.random(), float(np.random.rand())]), i


class Stream(IterableDataset[tuple[Tensor, int]]):
    """A stream of unknown length whose workers share the work."""

    def __init__(self, n: int = 10) -> None:
        self.n = n

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for i in range(first, self.n, step):
            yield torch.rand(2), i


class SizedStream(Stream):
    def __len__(self) -> int:
        return 10


def _seen(batches: Batches, epoch: int, *, start: int = 0) -> tuple[list[int], list[float]]:
    """Targets and everything random of an epoch."""
    items = list(batches.epoch(epoch, start=start))
    values = [
        x for item in items for x in (item.inputs[0] if isinstance(item.inputs, tuple) else []).flatten().tolist()
    ]
    return [y for item in items for y in item.targets.tolist()], values


def _states() -> list[bytes]:
    numpy: Any = np.random.get_state()
    return [torch.get_rng_state().numpy().tobytes(), repr(random.getstate()).encode(), numpy[1].tobytes()]


def _disturb(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


@pytest.fixture(autouse=True)
def _leave_the_generators_alone() -> Iterator[None]:
    torch_state, python, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()
    yield
    torch.set_rng_state(torch_state)
    random.setstate(python)
    np.random.set_state(numpy)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_epoch_is_a_pure_function_of_seed_and_epoch_down_to_the_draws_of_the_data_set(workers: int) -> None:
    def batches(seed: int = 0) -> LoaderBatches:
        return LoaderBatches(DataLoader(Numbers(), batch_size=5, shuffle=True, num_workers=workers), seed=seed)

    _disturb(1)
    once = batches()
    list(once.epoch(0))
    first = _seen(once, 1)
    _disturb(2)
    assert _seen(batches(), 1) == first
    assert sorted(first[0]) == list(range(24))
    assert len(set(first[1])) == 24 * 4
    assert _seen(once, 2)[0] != first[0]
    assert _seen(batches(seed=1), 1)[0] != first[0]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("start", [1, 4])
def test_an_epoch_entered_in_the_middle_goes_on_as_if_never_left(workers: int, start: int) -> None:
    batches = LoaderBatches(DataLoader(Numbers(), batch_size=5, shuffle=True, num_workers=workers))
    whole, rest = _seen(batches, 3), _seen(batches, 3, start=start)
    assert rest == (whole[0][start * 5 :], whole[1][start * 5 * 4 :])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_the_users_generators_are_afterwards_as_they_were(workers: int) -> None:
    own = torch.Generator().manual_seed(5)
    loader: DataLoader[Any] = DataLoader(Numbers(), batch_size=5, shuffle=True, num_workers=workers, generator=own)
    before, state = _states(), own.get_state()
    batches = LoaderBatches(loader)
    for number, _ in enumerate(batches.epoch(0)):
        assert _states() == before  # between the batches too, where the user's training step runs
        if number == 2:
            break
    assert _states() == before
    assert torch.equal(own.get_state(), state)


def test_what_the_training_step_draws_changes_no_batch() -> None:
    batches = LoaderBatches(DataLoader(Numbers(), batch_size=5, shuffle=True))
    expected = _seen(batches, 0)
    values = []
    for batch in batches.epoch(0):
        _disturb(len(values))
        values += batch.inputs[0].flatten().tolist()  # type: ignore[index]
    assert values == expected[1]


def test_two_epochs_read_side_by_side_do_not_disturb_one_another() -> None:
    batches = LoaderBatches(DataLoader(Numbers(), batch_size=5, shuffle=True))
    sides = zip(batches.epoch(0), batches.epoch(1), strict=True)
    both = [torch.stack([a.inputs[0], b.inputs[0]]) for a, b in sides]  # type: ignore[index]
    first, second = torch.cat(both, dim=1).flatten(1).tolist()
    assert first == _seen(batches, 0)[1]
    assert second == _seen(batches, 1)[1]


def test_generators_of_the_loader_and_of_its_sampler_are_keyed_too() -> None:
    def loader(seed: int) -> DataLoader[Any]:
        own = torch.Generator().manual_seed(seed)
        sampler = WeightedRandomSampler([1.0] * 24, 24, generator=own)
        return DataLoader(Numbers(), batch_size=5, sampler=sampler, generator=own)

    assert _seen(LoaderBatches(loader(1)), 0) == _seen(LoaderBatches(loader(2)), 0)
    inner = BatchSampler(RandomSampler(Numbers(), generator=torch.Generator().manual_seed(3)), 5, drop_last=False)
    batches = LoaderBatches(DataLoader(Numbers(), batch_sampler=inner))
    assert _seen(batches, 1) == _seen(batches, 1)
    assert batches.num_examples == 24


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_distributed_sampler_is_told_the_epoch_and_then_the_old_one(wrapped: bool) -> None:
    sampler: Any = DistributedSampler(Numbers(), num_replicas=2, rank=0)
    sampler.set_epoch(7)
    loader: DataLoader[Any] = (
        DataLoader(Numbers(), batch_sampler=BatchSampler(sampler, 4, drop_last=False))
        if wrapped
        else DataLoader(Numbers(), batch_size=4, sampler=sampler)
    )
    batches = LoaderBatches(loader)
    assert _seen(batches, 0)[0] != _seen(batches, 1)[0]
    assert _seen(batches, 1)[0] == _seen(batches, 1)[0]
    assert sampler.epoch == 7


def test_a_stream_is_counted_by_reading_it_once() -> None:
    batches = LoaderBatches(DataLoader(Stream(10), batch_size=4))
    assert (len(batches), batches.num_examples) == (3, 10)
    assert _seen(batches, 0) == _seen(batches, 0)
    assert _seen(batches, 0)[1] != _seen(batches, 1)[1]


@pytest.mark.slow
def test_a_stream_read_by_workers_is_repeatable() -> None:
    batches = LoaderBatches(DataLoader(Stream(10), batch_size=4, num_workers=2))
    assert (len(batches), batches.num_examples) == (4, 10)
    _disturb(1)
    first = _seen(batches, 1)
    _disturb(2)
    assert _seen(batches, 1) == first
    assert sorted(first[0]) == list(range(10))


def test_counts_follow_drop_last_and_the_sampler() -> None:
    dropping = LoaderBatches(DataLoader(Numbers(24), batch_size=5, drop_last=True))
    assert (len(dropping), dropping.num_examples) == (4, 20)
    sampled = LoaderBatches(DataLoader(Numbers(24), batch_size=5, sampler=WeightedRandomSampler([1.0] * 24, 7)))
    assert (len(sampled), sampled.num_examples) == (2, 7)


def test_a_data_set_that_batches_itself_is_counted() -> None:
    class Batched(Dataset[tuple[Tensor, Tensor]]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
            if i >= 3:
                raise IndexError
            return torch.zeros(i + 1, 2), torch.arange(i + 1)

    batches = LoaderBatches(DataLoader(Batched(), batch_size=None))
    assert (len(batches), batches.num_examples) == (3, 6)


def test_a_loader_that_promises_more_batches_than_it_has_is_refused_instead_of_waited_for() -> None:
    batches = LoaderBatches(DataLoader(SizedStream(5), batch_size=2))
    with pytest.raises(DataError, match="fewer batches than its length") as caught:
        list(batches.epoch(0))
    assert "3 batches, len(loader) = 5" in str(caught.value)
    assert "remove it" in str(caught.value)


def test_a_stream_that_can_be_read_only_once_is_refused_the_second_time() -> None:
    class Once(IterableDataset[tuple[Tensor, int]]):
        def __init__(self) -> None:
            self.items = iter([(torch.zeros(1), 0), (torch.ones(1), 1)])

        def __iter__(self) -> Iterator[tuple[Tensor, int]]:
            return self.items

    batches = LoaderBatches(DataLoader(Once()))
    assert len(batches) == 2
    with pytest.raises(DataError, match="can be read only once") as caught:
        list(batches.epoch(0))
    assert "__iter__" in str(caught.value)


def test_an_empty_loader_is_refused_at_once_or_when_that_is_seen() -> None:
    with pytest.raises(DataError, match="no examples") as caught:
        LoaderBatches(DataLoader(TensorDataset(torch.zeros(3, 1), torch.zeros(3)), batch_size=5, drop_last=True))
    assert "drop_last" in str(caught.value)
    with pytest.raises(DataError, match="no examples"):
        list(LoaderBatches(DataLoader(Stream(0))).epoch(0))
    with pytest.raises(DataError, match="no examples"):
        from_dataset([])  # type: ignore[arg-type]


_X, _Y = torch.arange(6.0).reshape(3, 2), torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((_X, _Y), (_X,)),
        ([_X, _Y], (_X,)),
        ((_X, _X + 1, _Y), (_X, _X + 1)),
        (((_X, _X + 1), _Y), (_X, _X + 1)),
        ([[_X, _X + 1], _Y], (_X, _X + 1)),
        (({"a": _X, "b": _Y}, _Y), {"a": _X, "b": _Y}),
        ({"a": _X, "labels": _Y}, {"a": _X}),
        ({"y": _Y, "b": _X, "a": _Y}, {"b": _X, "a": _Y}),
        ({"a": _X, "label": _Y, "target": _X}, {"a": _X, "target": _X}),
        ((_X.double().numpy(), _Y.numpy()), (_X,)),
        ((_X.double(), _Y.to(torch.int32)), (_X,)),
    ],
)
def test_every_usual_structure_of_a_batch_is_understood(item: Any, expected: Any) -> None:
    batch = batch_of(item)
    assert torch.equal(batch.targets, _Y)
    assert batch.targets.dtype == torch.int64
    assert type(batch.inputs) is type(expected)
    got = batch.inputs.items() if isinstance(batch.inputs, dict) else enumerate(batch.inputs)
    for (key, x), (name, wanted) in zip(
        got, expected.items() if isinstance(expected, dict) else enumerate(expected), strict=True
    ):
        assert key == name
        assert torch.equal(torch.as_tensor(x), wanted)
        assert torch.as_tensor(x).dtype in (torch.float32, torch.int64)


def test_floats_of_the_user_become_float32_and_bytes_stay_bytes() -> None:
    batch = batch_of((torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2, 1, dtype=torch.float64)))
    assert batch.inputs[0].dtype == torch.uint8  # type: ignore[index]
    assert batch.targets.dtype == torch.float32
    assert batch_of((_X, torch.tensor([True, False, True]))).targets.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("item", "received"),
    [
        (_X, "Tensor"),
        ((_X,), "tuple of length 1"),
        ({"a": _X, "b": _Y}, "a mapping with the keys a, b"),
        ({"y": _Y}, "a mapping with the keys y"),
        ("text", "str"),
    ],
)
def test_another_structure_is_refused_with_those_that_are_allowed(item: Any, received: str) -> None:
    with pytest.raises(DataError, match="unexpected structure") as caught:
        batch_of(item)
    assert f"received: {received}" in str(caught.value)
    assert "(x1, x2, …, y)" in str(caught.value)
    assert "collate_fn" in str(caught.value)


@pytest.mark.parametrize(
    ("item", "where"),
    [((["a", "b"], _Y), "input 0"), (({"text": "a"}, _Y), "input 'text'"), ((_X, ["a", "b", "c"]), "the targets")],
)
def test_what_is_no_tensor_is_named(item: Any, where: str) -> None:
    with pytest.raises(DataError, match="not a tensor") as caught:
        batch_of(item)
    assert where in str(caught.value)


@pytest.mark.parametrize(
    "examples",
    [
        [(torch.zeros(2), 0), (torch.zeros(3), 0)],
        [([0.0] * 2, 0), ([0.0] * 3, 0)],
        [(np.zeros(2), 0), (np.zeros(3), 0)],
    ],
)
def test_examples_of_different_shapes_are_refused_with_what_to_do(examples: Any) -> None:
    with pytest.raises(DataError, match="different shapes") as caught:
        list(from_dataset(examples, shuffle=False).epoch(0))
    assert "collate_fn that pads" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.slow
def test_examples_of_different_shapes_are_refused_in_a_worker_too() -> None:
    examples: Any = [(torch.zeros(2), 0), (torch.zeros(3), 0)]
    with pytest.raises(DataError, match="different shapes") as caught:
        list(from_dataset(examples, workers=1, shuffle=False).epoch(0))
    assert len(str(caught.value).splitlines()) == 4


def test_examples_that_are_no_numbers_are_refused_with_what_to_do() -> None:
    from PIL import Image

    images: Any = [(Image.new("L", (4, 4)), 0)] * 4
    with pytest.raises(DataError, match="cannot be put into a batch") as caught:
        list(from_dataset(images).epoch(0))
    assert "PIL.Image.Image" in str(caught.value)
    assert "ToTensor" in str(caught.value)


def test_errors_of_the_data_set_itself_are_not_hidden() -> None:
    class Broken(Numbers):
        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="the disk is on fire"):
        list(from_dataset(Broken()).epoch(0))


def test_an_error_comes_after_the_batches_that_were_read_before_it() -> None:
    class Broken(Numbers):
        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            if i == 13:
                raise ValueError("no example 13")
            return super().__getitem__(i)

    before, batches = _states(), from_dataset(Broken(), batch_size=4, shuffle=False).epoch(0)
    assert [y for _ in range(3) for y in next(batches).targets.tolist()] == list(range(12))
    with pytest.raises(ValueError, match="no example 13"):
        next(batches)
    assert _states() == before


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_data_set_is_batched_as_resident_tensors_are(shuffle: bool) -> None:
    batches = from_dataset(Numbers(13), batch_size=4, shuffle=shuffle)
    sizes = [len(batch.targets) for batch in batches.epoch(0)]
    assert sizes == ([4, 4, 5] if shuffle else [4, 4, 4, 1])  # no batch of one to train on
    assert (len(batches), batches.num_examples) == (len(sizes), 13)
    seen = _seen(batches, 0)[0]
    assert sorted(seen) == list(range(13))
    assert (seen == list(range(13))) is not shuffle


@pytest.mark.slow
def test_the_order_does_not_depend_on_the_number_of_workers() -> None:
    orders = [_seen(from_dataset(Numbers(), batch_size=5, workers=workers), 2)[0] for workers in (0, 1, 2)]
    assert orders[0] == orders[1] == orders[2]


def test_batches_are_augmented_by_the_key_of_seed_epoch_and_batch() -> None:
    def jitter(batch: Batch, stream: torch.Generator) -> Batch:
        return Batch((torch.rand(len(batch.targets), generator=stream),), batch.targets)

    batches = LoaderBatches(DataLoader(Numbers(), batch_size=6, shuffle=True), augment=jitter)
    whole, rest = _seen(batches, 0), _seen(batches, 0, start=2)
    assert whole[1][12:] == rest[1]
    assert len(set(whole[1] + _seen(batches, 1)[1])) == 48


def test_moving_a_batch_moves_all_of_it() -> None:
    tuples = move(Batch((_X, _Y), _Y), torch.device("meta"))
    named = move(Batch({"a": _X}, _Y), torch.device("meta"))
    assert [x.device.type for x in tuples.inputs] == ["meta", "meta"]  # type: ignore[union-attr]
    assert named.inputs["a"].device.type == named.targets.device.type == "meta"  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("data", "message"),
    [("mnist", "mlkit.data.load(name)"), (5, "__len__ and __getitem__"), ((i for i in range(3)), "a Dataset")],
)
def test_what_is_no_data_set_is_refused(data: Any, message: str) -> None:
    with pytest.raises(DataError, match="this is not a data set") as caught:
        from_dataset(data)
    assert message in str(caught.value)


def test_a_batch_size_that_cannot_be_right_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        from_dataset(Numbers(), batch_size=0)
