from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

import mlkit
from mlkit.config.check import checked_config
from mlkit.config.choices import DATA_CHOICES, MODEL_CHOICES, DataSettings, settings_class
from mlkit.config.settings import settings_of
from mlkit.data.load import options_of
from mlkit.errors import ConfigError
from mlkit.models.auto import model_options
from mlkit.registry import DATA, MODELS


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(MODELS._added), dict(DATA._added)
    yield
    MODELS._added, DATA._added = before


def _plain(value: object) -> object:
    return list(value) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("name", [name for name in MODEL_CHOICES if name != "auto"])
def test_the_settings_of_a_model_are_its_factorys_with_the_same_defaults(name: str) -> None:
    listed = {key: _plain(entry.default) for key, entry in settings_of(MODEL_CHOICES[name]).items() if key != "name"}
    assert listed == {key: _plain(option.default) for key, option in model_options(name).items()}


@pytest.mark.parametrize("name", list(DATA_CHOICES))
def test_the_settings_of_a_data_set_are_its_factorys_with_the_same_defaults(name: str) -> None:
    common = set(settings_of(DataSettings))
    listed = {key: _plain(entry.default) for key, entry in settings_of(DATA_CHOICES[name]).items() if key not in common}
    offered = {key: None if value is ... else _plain(value) for key, value in options_of(DATA.get(name)).items()}
    offered.pop("name", None)  # what a set is called is not a setting: data.name chooses the set
    assert listed == offered


@pytest.mark.parametrize("name", list(DATA_CHOICES))
def test_common_settings_are_offered_where_the_factory_or_the_pipeline_takes_them(name: str) -> None:
    parameters = inspect.signature(DATA.get(name)).parameters
    for setting in ("val_fraction", "test_fraction", "classes", "image_size"):
        if setting in parameters:
            assert setting in settings_of(DATA_CHOICES[name])


def test_every_registered_name_can_be_chosen() -> None:
    assert set(MODEL_CHOICES) - {"auto"} == set(MODELS._builtin)
    assert set(DATA_CHOICES) == set(DATA._builtin)


@pytest.mark.usefixtures("registered")
def test_an_own_models_settings_come_from_its_signature() -> None:
    @mlkit.register("own_net")
    def own_net(num_outputs: int, in_features: int, *, width: int = 4, names: list[str] | None = None) -> nn.Module:
        return nn.Linear(in_features, num_outputs)

    known = settings_of(settings_class("model", "own_net"))
    assert list(known) == ["name", "width", "names"]
    assert checked_config({"model": {"name": "own_net", "width": 7}}).model.width == 7
    with pytest.raises(ConfigError, match="a whole number"):
        checked_config({"model": {"name": "own_net", "width": "wide"}})


@pytest.mark.usefixtures("registered")
def test_own_data_have_the_common_settings_too() -> None:
    @mlkit.register("own_data", kind="data")
    def own_data(*, rows: int = 50, seed: int = 0) -> Any:
        raise NotImplementedError

    known = settings_of(settings_class("data", "own_data"))
    assert "rows" in known
    assert "limit" in known
    assert "seed" not in known
