"""Randomness by key: every random stream is a pure function of names and numbers, never of what ran before.

Not here: the process-wide generators and their capture for checkpoints (`mlkit.runtime.rng`).
"""

from __future__ import annotations

import hashlib

import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from a key such as ``(seed, "shuffle", epoch)``; the same on every platform and Python.

    >>> derive_seed(0, "shuffle", 1) == derive_seed(0, "shuffle", 1)
    True
    >>> derive_seed(0, "shuffle", 1) == derive_seed(0, "shuffle", 2)
    False
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator on ``device``, seeded by the key."""
    return torch.Generator(device=device).manual_seed(derive_seed(*parts))
