"""Settings of the members' optimisers, and which of them a stack may mix.

Not here: the updates (`mlkit.population.stacked.optimizers`) and schedules, which multiply the learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlkit.engine.optimizers import OptimizerName, check_optimizer_settings
from mlkit.errors import ConfigError


@dataclass(frozen=True)
class OptimizerSettings:
    """One member's optimiser; each argument as in `mlkit.engine.optimizers.make_optimizer`.

    >>> OptimizerSettings(name="sgd", lr=0.1).momentum
    0.9
    """

    name: OptimizerName = "adam"
    lr: float = 3e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    nesterov: bool = False

    def scalars(self) -> tuple[object, ...]:
        """All that the update depends on, the learning rate aside."""
        if self.name == "sgd":
            return self.weight_decay, self.momentum
        return self.weight_decay, self.betas, self.eps


def check_settings(settings: Sequence[OptimizerSettings]) -> None:
    """Refuse values out of range, and members whose update differs in more than numbers.

    Raises:
        ConfigError: with the first member that does not go with the others.
    """
    for one in settings:
        check_optimizer_settings(
            one.name,
            lr=one.lr,
            weight_decay=one.weight_decay,
            betas=one.betas,
            eps=one.eps,
            momentum=one.momentum,
            nesterov=one.nesterov,
        )
    looks_ahead = {True: " with nesterov", False: ""}
    kinds = sorted({one.name + looks_ahead[one.nesterov and one.name == "sgd"] for one in settings})
    if len(kinds) > 1:
        raise ConfigError(
            "members of one stack with different optimisers",
            received=", ".join(kinds),
            allowed="one of adam, adamw, sgd for all; nesterov for all or for none",
            todo="make a stack for each of them",
        )
