from __future__ import annotations

import pytest
import torch
from torch import nn

from mlkit.models.blocks import BasicBlock, Bottleneck, PadShortcut, Scale, conv


def test_padding_shortcut_takes_every_other_pixel_and_adds_channels_of_zeros() -> None:
    x = torch.randn(2, 3, 5, 6)
    out = PadShortcut(2, 4)(x)
    assert out.shape == (2, 7, 3, 3)
    assert torch.equal(out[:, :3], x[:, :, ::2, ::2])
    assert not out[:, 3:].any()


def test_scale_starts_as_nothing_and_multiplies() -> None:
    x, scale = torch.randn(2, 3, 5, 5), Scale()
    assert torch.equal(scale(x), x)
    nn.init.constant_(scale.weight, 3)
    torch.testing.assert_close(scale(x), 3 * x)


@pytest.mark.parametrize(("kernel", "stride", "size"), [(1, 1, 9), (3, 1, 9), (7, 2, 5), (3, 2, 5), (1, 2, 5)])
def test_convolutions_keep_the_size_and_have_a_bias_only_without_a_norm(kernel: int, stride: int, size: int) -> None:
    for normalization in ("batch", "none"):
        layer = conv(3, 4, kernel, stride=stride, normalization=normalization)
        assert layer(torch.randn(1, 3, 9, 9)).shape == (1, 4, size, size)
        assert (layer.bias is None) == (normalization == "batch")


@pytest.mark.parametrize("normalization", ["batch", "none"])
@pytest.mark.parametrize("shortcut", ["pad", "projection"])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_shapes_of_blocks_and_what_they_hold(
    block: type[BasicBlock] | type[Bottleneck], shortcut: str, normalization: str
) -> None:
    module = block(8, 8, stride=2, shortcut=shortcut, normalization=normalization)  # type: ignore[arg-type]
    assert module(torch.randn(2, 8, 9, 9)).shape == (2, 8 * block.expansion, 5, 5)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert bool(norms) == (normalization == "batch")
    assert module.last_norm() is module.get_submodule("bn2" if block is BasicBlock else "bn3")
    assert len(module.branch()) == (2 if block is BasicBlock else 3)
    # The same size needs no shortcut of its own.
    same = block(8 * block.expansion, 8, stride=1, shortcut=shortcut, normalization=normalization)  # type: ignore[arg-type]
    assert same.downsample is None


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_hooks_see_each_activation_unchanged(block: type[BasicBlock] | type[Bottleneck]) -> None:
    module = block(8, 8, stride=1, shortcut="projection", normalization="batch")
    kept: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name, layer in module.named_children():
        layer.register_forward_hook(lambda _m, _a, output, name=name: kept.update({name: (output, output.clone())}))
        layer.register_full_backward_hook(lambda _m, _gi, _go: None)
    module(torch.randn(2, 8, 5, 5, requires_grad=True)).sum().backward()
    assert all(torch.equal(live, copy) for live, copy in kept.values())
    assert sum(name.startswith("relu") for name in kept) == len(module.branch())
