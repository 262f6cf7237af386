"""The process-wide random generators: seed them, keep them for a checkpoint, put them back.

Not here: randomness by key (`mlkit.runtime.keys`), which is what mlkit itself draws from; these generators serve what
draws from them anyway, such as dropout and the user's own code.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mlkit.errors import CheckpointError


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy (by the lower 32 bits, all it takes) and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def capture() -> dict[str, Any]:
    """The state of all generators as tensors, numbers and text, which ``torch.load(weights_only=True)`` reads.

    CUDA is left out while it is unused: asking would start it, and nothing was drawn there.
    """
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": {"version": version, "words": torch.tensor(words, device="cpu"), "gauss": gauss},
        "numpy": _to_tensors(np.random.get_state(legacy=False)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore(state: dict[str, Any]) -> None:
    """Put back what `capture` took; generators of devices that are not here are left out.

    Raises:
        CheckpointError: ``state`` is not what `capture` gives.
    """
    try:
        python, numpy = state["python"], _to_arrays(state["numpy"])
        random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
        np.random.set_state(numpy)
        torch.set_rng_state(state["torch"].cpu())
        if torch.cuda.is_available():
            for index, stream in enumerate(state.get("cuda", [])[: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(stream.cpu(), index)
        if torch.backends.mps.is_available() and "mps" in state:
            torch.mps.set_rng_state(state["mps"].cpu())
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            "the state of the random generators cannot be restored",
            received=f"{type(error).__name__}: {error}",
            allowed="what mlkit.runtime.rng.capture() gives",
            todo="resume from another checkpoint",
        ) from error


@contextmanager
def preserved() -> Iterator[None]:
    """Whatever the body draws or seeds, all generators are afterwards as they were.

    >>> before = torch.get_rng_state()
    >>> with preserved():
    ...     seed_everything(7)
    >>> bool((before == torch.get_rng_state()).all())
    True
    """
    state = capture()
    try:
        yield
    finally:
        restore(state)


def _to_tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def _to_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_arrays(item) for key, item in value.items()}
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else value
