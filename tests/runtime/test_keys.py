from __future__ import annotations

import subprocess
import sys

import torch

from mlkit.runtime.keys import derive_seed, generator


def test_seeds_are_the_same_in_another_process() -> None:
    code = "from mlkit.runtime.keys import derive_seed; print(derive_seed(3, 'shuffle', 7))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == derive_seed(3, "shuffle", 7)


def test_keys_that_read_alike_differ() -> None:
    assert (
        len({derive_seed(1, "2"), derive_seed("1", 2), derive_seed(12), derive_seed("1", "2"), derive_seed("12")}) == 5
    )


def test_generators_are_independent_of_the_global_stream() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = torch.rand(3, generator=generator(0, "a"))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, torch.rand(3, generator=generator(0, "a")))
    assert not torch.equal(first, torch.rand(3, generator=generator(0, "b")))
