from __future__ import annotations

import pytest
import torch

from mlkit.errors import ConfigError
from mlkit.runtime.device import resolve_device


def test_auto_is_a_device_on_which_tensors_can_be_made() -> None:
    device = resolve_device()
    assert torch.zeros(2, device=device).device == device


def test_the_device_found_equals_that_of_its_tensors() -> None:
    assert resolve_device("cpu") == torch.zeros(1).device


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:", "CPU", "tpu", "cuda:-1", "cpu:1 "])
def test_names_that_are_no_devices(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_device(name)
    assert str(caught.value) == f"unknown device\n  received: {name!r}\n  allowed:  auto, cpu, cuda, cuda:N, mps"


@pytest.mark.parametrize("name", ["cuda:99", "cpu:3", "mps:7"])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_device(name)
    (problem,) = caught.value.problems
    assert problem.what.startswith("the device is not there: ")
    assert problem.received == repr(name)
    assert problem.allowed is not None
    assert problem.allowed.startswith("auto, cpu")
    assert problem.todo is not None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gets_its_number() -> None:
    assert resolve_device("cuda").index == torch.cuda.current_device()
    assert resolve_device("auto").type == "cuda"
