from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mlkit.data.adapt import from_tensors
from mlkit.data.bundle import DataBundle
from mlkit.data.load import find_root, load, options_of
from mlkit.data.source import Source
from mlkit.errors import ConfigError
from mlkit.registry import DATA
from mlkit.task import Task

Register = Callable[[str, Callable[..., Any]], None]


@pytest.fixture
def register() -> Iterator[Register]:
    """Adds factories to the catalogue that are gone after the test."""
    before = dict(DATA._added)
    yield DATA.add
    DATA._added.clear()
    DATA._added.update(before)


def _source(n: int = 60) -> Source:
    x = torch.arange(2.0 * n).reshape(n, 2)
    return Source(
        "mine", Task("classification", "vector", (2,), 3, class_names=("a", "b", "c")), (x,), torch.arange(n) % 3
    )


def test_a_name_becomes_a_bundle() -> None:
    bundle = load("blobs", examples=50, num_classes=4)
    assert isinstance(bundle, DataBundle)
    assert (bundle.name, bundle.task.num_outputs) == ("blobs", 4)
    assert sum(len(split) for _, split in bundle.splits()) == 50


def test_the_seed_reaches_both_what_is_made_and_how_it_is_split(register: Register) -> None:
    assert load("blobs", seed=1).fingerprint == load("blobs", seed=1).fingerprint
    assert load("blobs", seed=1).fingerprint != load("blobs", seed=2).fingerprint
    register("mine", _source)
    assert load("mine", seed=1).fingerprint != load("mine", seed=2).fingerprint


def test_the_common_settings_simplify_any_set(register: Register) -> None:
    register("mine", _source)
    bundle = load("mine", limit=12, classes=["c", "a"], val_fraction=0.2, test_fraction=0.25)
    assert [len(split) for _, split in bundle.splits()] == [12, 4, 10]
    assert bundle.task.class_names == ("c", "a")
    assert load("bars", examples=40, size=12, image_size=6).task.input_shape == (1, 6, 6)


def test_loading_leaves_the_global_generators_alone() -> None:
    before = torch.get_rng_state()
    load("digits", limit=100)
    load("spirals")
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_name_lists_all_and_suggests_the_closest() -> None:
    with pytest.raises(ConfigError, match="unknown data") as caught:
        load("mnits")
    assert "did you mean 'mnist'?" in str(caught.value)
    assert "digits" in str(caught.value)


def test_unknown_and_missing_options_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        load("csv", targett="y", delimeter=";")
    text = str(caught.value)
    assert "unknown option of the data set 'csv'" in text
    assert "did you mean 'target'?" in text
    assert "did you mean 'delimiter'?" in text
    assert "needs the option 'path'" in text
    assert "needs the option 'target'" in text
    assert "set data.path=…" in text
    assert len(caught.value.problems) == 4


def test_a_misspelled_common_setting_is_suggested_too() -> None:
    with pytest.raises(ConfigError, match="did you mean 'limit'"):
        load("digits", limt=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 1}, r"data\.limit is too small"),
        ({"image_size": 0}, r"data\.image_size is too small"),
        ({"val_fraction": 0}, r"data\.val_fraction is out of range"),
        ({"test_fraction": -0.2}, r"data\.test_fraction is out of range"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "leave nothing to train on"),
        ({"classes": ["0", "eleven"]}, r"unknown class in data\.classes"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("digits", **settings)


def test_a_factory_of_ones_own_may_return_a_bundle_and_take_what_it_likes(register: Register) -> None:
    def own(*, width: int, seed: int = 0, **others: object) -> DataBundle:
        assert others == {"anything": 1}
        return from_tensors(torch.zeros(20, width) + seed, torch.arange(20) % 2)

    register("own", own)
    bundle = load("own", width=5, seed=3, anything=1)
    assert bundle.task.input_shape == (5,)
    assert float(bundle.train.gather(torch.tensor([0])).inputs[0][0, 0]) == 3  # type: ignore[index]


def test_a_setting_that_a_ready_bundle_cannot_follow_is_refused_rather_than_ignored(register: Register) -> None:
    register("own", lambda: from_tensors(torch.zeros(20, 2), torch.arange(20) % 2))
    assert len(load("own", seed=4, root="somewhere").train) == 18
    with pytest.raises(ConfigError) as caught:
        load("own", limit=5, classes=[0, 1])
    assert [problem.what for problem in caught.value.problems] == [
        "data.limit is not an option of 'own'",
        "data.classes is not an option of 'own'",
    ]


def test_a_ready_bundle_may_follow_a_common_setting_by_itself(register: Register) -> None:
    register("own", lambda limit=8: from_tensors(torch.zeros(limit, 2), torch.arange(limit) % 2, val_fraction=0.25))
    assert len(load("own", limit=12).train) == 9


def test_a_factory_that_returns_something_else_is_refused(register: Register) -> None:
    register("own", lambda: 5)
    with pytest.raises(ConfigError, match="returned something else than data") as caught:
        load("own")
    assert "int" in str(caught.value)
    assert "from_tensors" in str(caught.value)


def test_the_root_is_the_argument_then_the_environment_then_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLKIT_DATA", "/from/environment")
    assert find_root("/given") == Path("/given")
    assert find_root() == find_root("") == Path("/from/environment")
    monkeypatch.setenv("MLKIT_DATA", "")
    assert find_root() == Path.home() / ".cache" / "mlkit" / "data"
    assert find_root("~/sets") == Path.home() / "sets"


def test_the_root_reaches_the_factories_that_read_files(register: Register, tmp_path: Path) -> None:
    seen: list[object] = []

    def reads(*, root: Path | None = None) -> Source:
        seen.append(root)
        return _source()

    register("reads", reads)
    load("reads", root=tmp_path)
    load("reads")
    assert seen == [tmp_path, None]


def test_the_options_of_a_set_are_those_beyond_the_common_ones() -> None:
    def own(path: str, *, root: str | None = None, seed: int = 0, width: int = 3, **others: object) -> None: ...

    assert options_of(own) == {"path": ..., "width": 3}
    assert set(options_of(DATA.get("blobs"))) == {"examples", "num_classes", "features", "spread"}


@pytest.mark.parametrize("name", list(DATA))
def test_every_name_of_the_catalogue_can_be_imported_and_says_what_it_is(name: str) -> None:
    assert (DATA.get(name).__doc__ or "").strip()
