from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from mlkit.config.compose import composer
from mlkit.config.trust import hydra_problems


def test_hydras_own_settings_are_fine() -> None:
    with composer() as session:
        composed, problems = session.compose(["hydra/job_logging=default", "hydra/hydra_logging=default"])
    assert composed is not None
    assert not problems
    assert hydra_problems(composed.hydra, callbacks_allowed=False) == []


@pytest.mark.parametrize(
    "node",
    [
        {"launcher": {"_target_": "os.system", "command": "true"}},
        {"sweeper": {"_target_": "hydra.utils.get_method", "path": "os.system"}},
        {"sweeper": {"nested": [{"_target_": "builtins.eval"}]}},
        {"callbacks": {"mine": {"_target_": "hydra.experimental.callbacks.LogJobReturnCallback"}}},
        {"job_logging": {"handlers": {"x": {"()": "os.system"}}}},
        {"job_logging": {"handlers": {"x": {"class": "evil.Handler"}}}},
        {"job_logging": {"handlers": {"x": {"stream": "ext://os.environ"}}}},
    ],
)
def test_anything_else_that_would_be_called_is_refused(node: object) -> None:
    assert hydra_problems(OmegaConf.create(node), callbacks_allowed=False)


def test_callbacks_come_from_the_command_line_alone() -> None:
    node = OmegaConf.create({"callbacks": {"mine": {"_target_": "my_callbacks.Mine"}}})
    assert hydra_problems(node, callbacks_allowed=True) == []
