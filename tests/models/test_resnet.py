from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlkit import models
from mlkit.errors import ConfigError
from mlkit.models.blocks import Normalization
from mlkit.models.resnet import ResNet

CIFAR = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}  # He et al., 2016, table 6: millions of parameters
IMAGENET = (18, 34, 50)


def factory(depth: int) -> Callable[..., ResNet]:
    make: Callable[..., ResNet] = getattr(models, f"resnet{depth}")
    return make


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def weighted_layers(model: nn.Module) -> int:
    """Layers with weights from input to output, as the names count them: shortcuts do not count."""
    return sum(isinstance(m, (nn.Conv2d, nn.Linear)) for n, m in model.named_modules() if "downsample" not in n)


@pytest.mark.parametrize("depth", CIFAR)
def test_small_ones_have_the_parameters_and_depth_of_the_paper(depth: int) -> None:
    model = factory(depth)()
    digits = 1 if depth == 110 else 2
    assert round(size(model) / 1e6, digits) == CIFAR[depth]
    assert weighted_layers(model) == depth == 6 * (len(model.blocks()) // 3) + 2


@pytest.mark.parametrize("depth", CIFAR)
def test_small_ones_have_the_parameters_of_the_closed_form(depth: int) -> None:
    n = (depth - 2) // 6
    convolutions = 27 * 16 + sum(
        9 * (before * width + (2 * n - 1) * width**2) for before, width in ((16, 16), (16, 32), (32, 64))
    )
    norms = 2 * (16 + 2 * n * (16 + 32 + 64))
    assert size(factory(depth)()) == convolutions + norms + 64 * 10 + 10
    projections = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert size(factory(depth)(shortcut="projection")) - size(factory(depth)()) == projections


@pytest.mark.parametrize("depth", [20, 32])
def test_small_ones_halve_the_size_twice(depth: int) -> None:
    model = factory(depth)(seed=0).eval()
    x = model.relu(model.bn1(model.conv1(torch.randn(2, 3, 32, 32))))
    sizes = []
    for stage in model.stages:
        x = model.get_submodule(stage)(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


@pytest.mark.parametrize("depth", IMAGENET)
def test_torchvision_names_shapes_and_depth(depth: int) -> None:
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        ours, theirs = factory(depth)(), getattr(torchvision.models, f"resnet{depth}")()
    shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert list(shapes[0]) == list(shapes[1])
    assert weighted_layers(ours) == depth


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("depth", IMAGENET)
def test_reproduces_torchvision(depth: int, training: bool) -> None:
    torchvision = pytest.importorskip("torchvision")
    theirs = getattr(torchvision.models, f"resnet{depth}")()
    generator = torch.Generator().manual_seed(depth)
    with torch.no_grad():  # norms that do something, in both modes
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    ours = factory(depth)()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.train(training)
    theirs.train(training)
    x = torch.randn(2, 3, 96, 96, generator=generator)
    expected = theirs(x)
    tolerance = 1e-5 * max(1.0, expected.abs().max().item())
    torch.testing.assert_close(ours(x), expected, atol=tolerance, rtol=1e-5)
    assert expected.std() > 0.01
    for (name, mine), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, msg=f"{name} differs after the pass")


def test_gradients_are_torchvisions_too() -> None:
    torchvision = pytest.importorskip("torchvision")
    theirs, ours = torchvision.models.resnet18(num_classes=5), models.resnet18(num_classes=5)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x, y = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    for model in (ours, theirs):
        nn.functional.cross_entropy(model(x), y).backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-3, msg=f"gradient of {name}")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [1, 7, 28, 33, 63, 64, 97])
def test_any_size_and_channels(side: int, channels: int) -> None:
    with torch.device("meta"):
        for depth in (20, 18, 50):
            model = factory(depth)(5, in_channels=channels, **({} if depth == 20 else {"image_size": side}))
            assert model(torch.zeros(2, channels, side, side)).shape == (2, 5)


def test_the_stem_follows_the_size() -> None:
    with torch.device("meta"):
        for image_size, small in ((63, True), (64, False), ((64, 63), True), (224, False)):
            stem = models.resnet18(image_size=image_size).conv1
            assert (stem.kernel_size, stem.stride) == (((3, 3), (1, 1)) if small else ((7, 7), (2, 2)))
        assert models.resnet18(image_size=32, small_input=False).conv1.stride == (2, 2)
        assert models.resnet18(image_size=224, small_input=True).conv1.stride == (1, 1)
        features = models.resnet18(image_size=32)
        features.avgpool = nn.Identity()  # type: ignore[assignment]
        assert features.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512 * 4 * 4)


@pytest.mark.parametrize("depth", [20, 18, 50])
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_convolutions_are_he(depth: int, normalization: Normalization) -> None:
    model = factory(depth)(normalization=normalization, seed=0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            expected = 2 / (module.in_channels * math.prod(module.kernel_size))
            estimate = module.weight.detach().square().mean().item()
            assert estimate == pytest.approx(expected, rel=6 * math.sqrt(2 / module.weight.numel()))
            assert (module.bias is None) == (normalization == "batch")
            assert module.bias is None or not module.bias.any()


@pytest.mark.parametrize("depth", [20, 56, 110, 18, 50])
def test_without_norms_the_variance_keeps_its_size_through_depth(depth: int) -> None:
    small = {} if depth in CIFAR else {"image_size": 32}
    model = factory(depth)(10, normalization="none", seed=0, **small).eval()
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    blocks = model.blocks()
    assert all(
        block.last_norm().get_parameter("weight").item() == pytest.approx(len(blocks) ** -0.5) for block in blocks
    )
    with torch.no_grad():
        x = model.relu(model.bn1(model.conv1(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))))
        moments = [x.square().mean().item()]
        for stage in model.stages:
            x = model.get_submodule(stage)(x)
            moments.append(x.square().mean().item())
        logits = model.fc(model.avgpool(x).flatten(1))
    # Each block adds at most 2 / L of the mean square; each of option A's two shortcuts halves it by channels of zeros.
    least = 0.2 if depth in CIFAR else 0.5
    assert 0.5 < moments[0] < 2
    assert all(least < moment / moments[0] < math.e**2 for moment in moments)
    assert 0 < logits.std().item() < 1  # the head is small: training starts near a uniform guess


def test_without_the_factor_the_variance_explodes() -> None:
    # What the factor is for: the same network with every factor at 1.
    model = models.resnet110(normalization="none", seed=0)
    for block in model.blocks():
        nn.init.ones_(block.last_norm().get_parameter("weight"))
    with torch.no_grad():
        assert model.features(torch.randn(2, 3, 16, 16)).square().mean().item() > 1e6


def test_without_norms_examples_do_not_see_their_neighbours() -> None:
    model = models.resnet20(normalization="none", seed=0)
    nn.init.normal_(model.fc.weight)
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(model(x)[:1], model(x[:1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("normalization", ["batch", "none"])
@pytest.mark.parametrize("depth", [20, 18, 50])
def test_every_parameter_gets_a_gradient(depth: int, normalization: Normalization) -> None:
    small = {} if depth in CIFAR else {"image_size": 16}
    model = factory(depth)(3, normalization=normalization, seed=0, **small)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(6, 3, 16, 16), torch.arange(6) % 3
    for _ in range(3):  # what starts at 0 lets gradients through after a step
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_zero_init_residual_starts_blocks_as_their_shortcut(normalization: Normalization) -> None:
    x = torch.randn(2, 16, 8, 8).relu()
    for closed in (True, False):
        model = models.resnet20(zero_init_residual=closed, normalization=normalization, seed=0).eval()
        assert torch.equal(model.get_submodule("layer1.0")(x), x) == closed


def test_features_are_what_the_last_layer_sees() -> None:
    model, x = models.resnet20(seed=0).eval(), torch.randn(2, 3, 20, 20)
    features = model.features(x)
    assert features.shape == (2, 64)
    torch.testing.assert_close(model.fc(features), model(x))


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_seeds(normalization: Normalization) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = (models.resnet20(normalization=normalization, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        models.resnet20(0, in_channels=0, shortcut="padd", normalization="btach")  # type: ignore[arg-type]
    assert len(caught.value.problems) == 4
    assert "did you mean 'pad'?" in str(caught.value)
    assert "did you mean 'batch'?" in str(caught.value)
    with pytest.raises(ConfigError, match=r"'image_size' is not a size\n  received: \(\)"):
        models.resnet18(image_size=())


def test_factories_are_named_and_documented() -> None:
    for depth in (*CIFAR, *IMAGENET):
        make = factory(depth)
        assert make.__name__ == f"resnet{depth}"
        assert make.__doc__ is not None
        assert make.__doc__.startswith(f"resnet{depth} for")


def stripes(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise with stripes that run along, across or diagonally: what a line through the pixels cannot tell."""
    y = torch.arange(count) % 3
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    waves = torch.stack([row, column, (row + column) / math.sqrt(2)])[y]
    phase = 2 * math.pi * torch.rand(count, 1, 1, generator=generator)
    x = torch.sin(1.5 * waves + phase)[:, None] + 0.3 * torch.randn(count, 3, 16, 16, generator=generator)
    return x, y


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_tells_the_direction_of_stripes(normalization: Normalization) -> None:
    generator = torch.Generator().manual_seed(0)
    model = models.resnet20(3, normalization=normalization, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)  # the library's default
    losses = []
    for _ in range(80):
        x, y = stripes(48, generator)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(3), abs=0.15)
    assert max(losses) < 1.5
    assert sum(losses[-5:]) / 5 < 0.2
    x, y = stripes(150, generator)
    with torch.no_grad():
        assert (model.eval()(x).argmax(1) == y).float().mean().item() > 0.95
