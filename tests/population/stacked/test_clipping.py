from __future__ import annotations

import math

import torch
from torch import nn

from mlkit.population.stacked.clipping import clip_, gradient_norms


def test_each_member_is_clipped_as_torch_clips_it() -> None:
    stream = torch.Generator().manual_seed(0)
    shapes = {"w": (3, 4), "b": (3,), "gain": ()}
    gradients = {name: torch.randn(4, *shape, generator=stream).double() for name, shape in shapes.items()}
    limits = [0.1, 2.0, 1e6, math.inf]
    expected, norms = [], []
    for k, limit in enumerate(limits):
        parameters = [nn.Parameter(torch.zeros(shape).double()) for shape in shapes.values()]
        for parameter, gradient in zip(parameters, gradients.values(), strict=True):
            parameter.grad = gradient[k].clone()
        norms.append(nn.utils.clip_grad_norm_(parameters, limit))
        expected.append([p.grad for p in parameters])
    torch.testing.assert_close(gradient_norms(gradients), torch.stack(norms))
    found = clip_(gradients, torch.tensor(limits))
    torch.testing.assert_close(found, torch.stack(norms))
    for k in range(4):
        for gradient, wanted in zip(gradients.values(), expected[k], strict=True):
            torch.testing.assert_close(gradient[k], wanted)


def test_a_gradient_that_is_no_number_stays_in_its_row() -> None:
    for bad in (math.nan, math.inf):
        gradients = {"w": torch.ones(3, 2), "b": torch.ones(3)}
        gradients["b"][1] = bad
        norms = clip_(gradients, torch.full((3,), 0.5))
        assert norms.isfinite().tolist() == [True, False, True]
        assert torch.equal(gradients["w"][0], gradients["w"][2])
        assert bool(gradients["w"][[0, 2]].isfinite().all())
