"""`Run`: one member on its way: its settings, its model and its record; and the copy of the model that is trained.

Not here: training (the back ends).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from mlkit.errors import ConfigError, MlkitError, Problem
from mlkit.population.course import Course, without_leaks
from mlkit.population.member import Member
from mlkit.population.record import Record
from mlkit.population.stacked.dropout import use_keyed_dropout
from mlkit.population.stacked.errors import CannotStackError
from mlkit.runtime.keys import derive_seed

MakeModel = Callable[[Member], nn.Module]


@dataclass
class Run:
    """One member on its way.

    Args:
        index: place in the list of members.
        member: as the user gave it.
        settings: as it is trained: weights of 0 and 1 may have become rows.
        model: as ``make_model`` returned it; it gets the trained weights when the run is over.
        record: how far it came.
    """

    index: int
    member: Member
    settings: Member
    model: nn.Module
    record: Record = field(default_factory=Record)

    @property
    def is_active(self) -> bool:
        """Whether it is still to be trained."""
        return self.record.status == "running"

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"member {self.index}" + (f" ({self.member.name})" if self.member.name else "")

    @property
    def key(self) -> int:
        """Key of its dropout."""
        return derive_seed(self.settings.seed, "dropout")

    def trainee(self) -> nn.Module:
        """A copy of the model to train, with the member's dropout, which is keyed where that can be done.

        A model that draws in ways of its own is trained on the process-wide streams, as `fit` does it.
        """
        model = copy.deepcopy(self.model)
        if self.settings.dropout is not None:
            for module in dropouts_of(model):
                _set_rate(module, self.settings.dropout)
        with contextlib.suppress(CannotStackError):
            use_keyed_dropout(model, self.key)
        return model


def make_runs(make_model: MakeModel, members: Sequence[Member], course: Course) -> list[Run]:
    """A run for every member.

    Raises:
        ConfigError: settings that do not fit the data or the model, of all members together.
    """
    if not members:
        raise ConfigError("there are no members", received="an empty list", allowed="one member or more")
    runs, problems = [], []
    for index, member in enumerate(members):
        label = f"member {index}"
        problems += list(course.problems_with(member, label))
        model = _made(make_model, member, label)
        if member.dropout and not dropouts_of(model):
            todo = "build the model with dropout, which the member then sets, or leave dropout=None"
            problems.append(
                Problem(f"{label}: the model has no dropout to set", f"dropout={member.dropout}", todo=todo)
            )
        if not problems:
            runs.append(Run(index, member, without_leaks(member, model), model.to(course.device)))
    if problems:
        raise ConfigError(_first(problems))
    if len({id(run.model) for run in runs}) < len(runs):
        raise ConfigError(
            "make_model returns the same model twice", todo="make a new model in every call: lambda member: Net()"
        )
    return runs


def dropouts_of(model: nn.Module) -> list[nn.Module]:
    """The modules whose rate ``Member.dropout`` sets: every ``nn.Dropout``, and LSTM and GRU of several layers."""
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.dropout._DropoutNd)
        or (isinstance(module, nn.RNNBase) and module.num_layers > 1)
    ]


def _set_rate(module: nn.Module, rate: float) -> None:
    setattr(module, "dropout" if isinstance(module, nn.RNNBase) else "p", rate)


def _made(make_model: MakeModel, member: Member, label: str) -> nn.Module:
    try:
        model = make_model(member)
    except MlkitError as error:
        raise type(error)([replace(problem, what=f"{label}: {problem.what}") for problem in error.problems]) from error
    if not isinstance(model, nn.Module):
        raise ConfigError("make_model does not return a model", received=type(model).__name__, allowed="an nn.Module")
    return model


def _first(problems: list[Problem], *, count: int = 10) -> list[Problem]:
    """As many as can be read."""
    more = len(problems) - count
    return problems if more <= 0 else [*problems[:count], Problem(f"and {more} more")]
