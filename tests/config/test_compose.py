from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from mlkit.config.compose import composer, config_from_overrides, jobs_of
from mlkit.config.schema import Config
from mlkit.errors import ConfigError


def test_no_overrides_give_the_defaults_of_the_list() -> None:
    composed, plain = config_from_overrides().to_dict(), Config().to_dict()
    assert composed.pop("name") == "auto-digits"
    plain.pop("name")
    assert composed == plain


def test_hydras_state_is_afterwards_as_before() -> None:
    with composer():
        assert GlobalHydra.instance().is_initialized()
    assert not GlobalHydra.instance().is_initialized()


def test_own_values_win_over_an_experiment_and_an_experiment_over_a_group() -> None:
    config = config_from_overrides(["experiment=lenet_mnist", "optimizer=sgd", "trainer.batch_size=7"])
    assert (config.optimizer.name, config.optimizer.lr) == ("sgd", 0.001)
    assert config.trainer.batch_size == 7
    assert config.experiment == "lenet_mnist"


def test_special_signs_in_text_need_no_second_quotes() -> None:
    assert config_from_overrides(["trainer.target=val/accuracy>=0.9"]).trainer.target == "val/accuracy>=0.9"
    augment = config_from_overrides(["data.augment=[flip,crop(2, fill=edge),{name: erase, size: 3}]"]).data.augment
    assert augment == ["flip", "crop(2, fill=edge)", {"name": "erase", "size": 3}]


def test_interpolation_between_settings_works() -> None:
    config = config_from_overrides(["trainer.max_epochs=4", "trainer.early_stopping=${trainer.max_epochs}"])
    assert config.trainer.early_stopping == 4
    with pytest.raises(ConfigError, match="refers to something that is not there"):
        config_from_overrides(["trainer.early_stopping=${trainer.nothing}"])


def test_all_combinations_are_jobs_until_they_are_too_many() -> None:
    with composer() as session:
        few, _ = session.parse(["seed=0,1,2", "optimizer.lr=1e-3,1e-2", "model=mlp"])
        many, _ = session.parse(["seed=range(0,20)", "optimizer.lr=1e-3,1e-2,1e-1,1.0", "model=mlp,lenet"])
    assert len(jobs_of(few)) == 6
    assert len(jobs_of(many)) == 1 + 19 + 3 + 1


def test_a_folder_of_ones_own_adds_choices_and_may_stand_anywhere(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "long.yaml").write_text("defaults: [/schema/trainer@_here_]\nmax_epochs: 500\n")
    with composer(extra=tmp_path) as session:
        assert {"default", "long"} <= set(session.options("trainer"))
        composed, problems = session.compose(["trainer=long"])
    assert not problems
    assert composed is not None
    assert composed.config.trainer.max_epochs == 500


def test_a_folder_with_signs_that_are_special_to_hydra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "it's, a [test]=1"
    (place / "configs" / "optimizer").mkdir(parents=True)
    (place / "configs" / "optimizer" / "mine.yaml").write_text("defaults: [/schema/optimizer@_here_]\nlr: 0.5\n")
    monkeypatch.chdir(place)
    assert config_from_overrides(["optimizer=mine"]).optimizer.lr == 0.5
