"""What is raised for a model that cannot be stacked; the caller then takes another way to train it.

Not here: settings of optimisers that do not go together (`mlkit.errors.ConfigError`).
"""

from __future__ import annotations

from mlkit.errors import MlkitError


class CannotStackError(MlkitError):
    """These members cannot be held as one stack; says which layer and why."""


def cannot_stack(layer: str, reason: str, *, received: object = None, todo: str | None = None) -> CannotStackError:
    """The error for one layer.

    >>> print(cannot_stack("conv1", "it pads by reflection"))
    the members cannot be stacked: conv1: it pads by reflection
      to do:    train them with the loop or processes back end
    """
    return CannotStackError(
        f"the members cannot be stacked: {layer or 'the model'}: {reason}",
        received=received,
        todo=todo or "train them with the loop or processes back end",
    )
