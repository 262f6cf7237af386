"""Devices by name: "auto" takes an accelerator where there is one, anything else must exist.

Not here: what a device can do (`mlkit.runtime.hardware`) and which precision is used on it (`mlkit.runtime.precision`).
"""

from __future__ import annotations

import re

import torch

from mlkit.errors import ConfigError

_NAME = re.compile(r"(cpu|cuda|mps)(?::(\d+))?")


def resolve_device(name: str = "auto") -> torch.device:
    """The device called ``name``, with its number where there can be several.

    Args:
        name: ``"auto"`` (CUDA, else Apple's MPS, else the CPU), ``"cpu"``, ``"cuda"`` (the current GPU),
            ``"cuda:1"`` or ``"mps"``.

    Raises:
        ConfigError: the name is not a device, or the device is not in this machine.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = _best()
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError("unknown device", received=repr(name), allowed="auto, cpu, cuda, cuda:N, mps")
    kind, number = match.group(1), match.group(2)
    if kind == "cuda":
        return _cuda(None if number is None else int(number))
    if number not in (None, "0"):
        raise _absent(f"{kind}:{number}", f"there is only one device of kind {kind}")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise _absent("mps", "this machine, or this build of PyTorch, has no Apple GPU")
    return torch.device(kind)


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cuda(number: int | None) -> torch.device:
    if not torch.cuda.is_available():
        name = "cuda" if number is None else f"cuda:{number}"
        why = "this build of PyTorch is for the CPU only" if torch.version.cuda is None else "PyTorch sees no GPU here"
        raise _absent(name, why)
    count = torch.cuda.device_count()
    if number is not None and number >= count:
        raise _absent(f"cuda:{number}", f"PyTorch sees {count} GPU{'s' if count > 1 else ''} here")
    return torch.device("cuda", torch.cuda.current_device() if number is None else number)


def _absent(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"the device is not there: {why}",
        received=repr(name),
        allowed=", ".join(["auto", *_present()]),
        todo="choose one of these; 'auto' takes the best",
    )


def _present() -> list[str]:
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
