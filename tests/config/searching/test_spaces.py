"""Default spaces fit every model that there is; a configuration of a search becomes settings of a run and back."""

from __future__ import annotations

import pytest

from mlkit.config.choices import MODEL_CHOICES
from mlkit.config.schema import Config
from mlkit.config.searching.spaces import config_of, overrides_of, space_of
from mlkit.errors import ConfigError

DATA = {"lstm": "names"}


def config(model: str) -> Config:
    return Config.from_overrides([f"model={model}", f"data={DATA.get(model, 'digits')}"])


@pytest.mark.parametrize("model", [name for name in MODEL_CHOICES if name != "auto"])
def test_the_default_space_of_every_model_holds_settings_that_a_run_takes(model: str) -> None:
    base = config(model)
    space = space_of(base, model, {})
    for unit in (0.0, 0.3, 0.7, 0.999):
        params = space.params([unit] * len(space.names))
        changed = config_of(base, params)
        assert changed.optimizer.lr == params["optimizer.lr"]


@pytest.mark.parametrize("model", ["mlp", "lenet", "lstm"])
def test_the_command_that_is_told_gives_the_settings_that_were_tried(model: str) -> None:
    base = config(model)
    space = space_of(base, model, {})
    params = space.params([0.4] * len(space.names))
    told = Config.from_overrides([f"model={model}", f"data={DATA.get(model, 'digits')}", *overrides_of(base, params)])
    assert told == config_of(base, params)


def test_width_and_depth_stand_for_the_hidden_layers() -> None:
    base = config("mlp")
    assert config_of(base, {"model.width": 32, "model.depth": 3}).model.hidden == (32, 32, 32)
    assert config_of(base, {"model.width": 32}).model.hidden == (32,)
    assert config_of(base, {"model.depth": 2}).model.hidden == (128, 128)


def test_the_seed_changes_the_run_and_nothing_else() -> None:
    base = config("mlp")
    assert config_of(base, {"optimizer.lr": 0.1}, seed=7).seed == 7
    assert config_of(base, {}).seed == base.seed


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"optimizer.lrr": "log(1e-4,1)"}, "did you mean 'optimizer.lr'?"),
        ({"trainer.max_epochs": "integer(1,9)"}, "held still"),
        ({"seed": "integer(1,9)"}, "held still"),
        ({"optimizer.lr": "uniform(-1, 1)"}, "optimizer.lr cannot have this value"),
        ({"model.dropout": "uniform(0, 2)"}, "model.dropout cannot have this value"),
        ({"model.activation": "choice(relu, rellu)"}, "model.activation cannot have this value"),
        ({"optimizer.lr": "lgo(1e-4, 1)"}, "log"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_space_that_no_run_takes_is_refused_before_anything_is_trained(space: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(config("mlp"), "mlp", space)
    assert message in str(caught.value)
