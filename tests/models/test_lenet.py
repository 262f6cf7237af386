from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mlkit.errors import ConfigError, ModelError
from mlkit.models import lenet


def shapes(model: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}
    for name, module in model.named_children():
        module.register_forward_hook(
            lambda _module, _args, output, name=name: seen.update({name: tuple(output.shape[1:])})
        )
    model(x)
    return seen


@pytest.mark.parametrize("size", [28, 32])
def test_geometry_and_parameters_are_those_of_the_paper(size: int) -> None:
    model = lenet(10, image_size=size)
    seen = shapes(model, torch.zeros(2, 1, size, size))
    # LeCun et al., 1998, section II.B: C1 6@28x28, S2 6@14x14, C3 16@10x10, S4 16@5x5, C5 120, F6 84.
    paper = {
        "conv1": (6, 28, 28),
        "pool1": (6, 14, 14),
        "conv2": (16, 10, 10),
        "pool2": (16, 5, 5),
        "fc1": (120,),
        "fc2": (84,),
        "head": (10,),
    }
    assert {name: seen[name] for name in paper} == paper
    parameters = {name: sum(p.numel() for p in module.parameters()) for name, module in model.named_children()}
    # The paper's counts, but C3: each of its 16 maps sees all 6 instead of the 3, 4 or 6 of table I (1,516).
    assert parameters["conv1"] == 156
    assert parameters["conv2"] == 16 * (6 * 25 + 1)
    assert parameters["fc1"] == 48_120
    assert parameters["fc2"] == 10_164
    assert parameters["head"] == 850
    assert sum(parameters.values()) == 61_706


def test_a_size_of_28_with_a_margin_is_a_size_of_32() -> None:
    small, large = lenet(image_size=28, seed=0), lenet(image_size=32, seed=0)
    x = torch.randn(3, 1, 28, 28)
    padded = nn.functional.pad(x, (2, 2, 2, 2))
    torch.testing.assert_close(small(x), large(padded))


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [*range(1, 41), 48, 63, 64, 96, 128, 224])
def test_any_size_and_channels(size: int, channels: int) -> None:
    with torch.device("meta"):
        model = lenet(7, in_channels=channels, image_size=size)
        assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)
    # The last maps stay near LeNet-5's 5x5 cells, so the dense layers stay near their published size.
    cells = model.fc1.in_features / 16
    assert 4**2 <= cells <= 7**2 or size < 4


def test_colour_at_32_pixels() -> None:
    assert sum(p.numel() for p in lenet(10, in_channels=3, image_size=32).parameters()) == 61_706 + 2 * 25 * 6


def test_sides_may_differ() -> None:
    model = lenet(4, image_size=(20, 45))
    assert model(torch.zeros(2, 1, 20, 45)).shape == (2, 4)
    assert model.input_shape == (1, 20, 45)


def test_width_multiplies_all_layers() -> None:
    assert [p.shape[0] for n, p in lenet(width=2).named_parameters() if n.endswith("bias")] == [12, 32, 240, 168, 10]
    assert lenet(width=0.01)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_pooling_first_changes_nothing(activation: str) -> None:
    model = lenet(activation=activation, seed=0)  # type: ignore[arg-type]
    x = torch.randn(4, 1, 28, 28)
    features = model.pool1(model.act1(model.conv1(x)))
    features = model.pool2(model.act2(model.conv2(features)))
    expected = model.head(model.act4(model.fc2(model.act3(model.fc1(features.flatten(1))))))
    torch.testing.assert_close(model(x), expected)


def test_every_layer_but_the_head_is_initialised_for_its_activation() -> None:
    for activation, variance in (("relu", 2 / 400), ("tanh", 2 / 520)):
        model = lenet(activation=activation, seed=0)  # type: ignore[arg-type]
        assert model.fc1.weight.var().item() == pytest.approx(variance, rel=0.05)
        assert model.head.weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_dropout_is_off_in_evaluation() -> None:
    model, x = lenet(dropout=0.5, seed=0), torch.randn(4, 1, 28, 28)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_seeds() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = lenet(seed=3), lenet(seed=3), lenet(seed=4)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 3, 28, 28), (1, 28, 28), (2, 784)])
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        lenet()(torch.zeros(shape))
    (problem,) = caught.value.problems
    assert problem.received == "x".join(map(str, shape[1:]))
    assert problem.allowed == "1x28x28 (channels, height, width)"
    assert problem.todo is not None
    assert "image_size" in problem.todo


def test_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        lenet(0, in_channels=-1, image_size=(28, 28, 3), width="2", activation="swish", dropout=1.0)  # type: ignore[arg-type]
    text = str(caught.value)
    assert len(caught.value.problems) == 6
    for name in ("num_classes", "in_channels", "image_size", "width", "activation", "dropout"):
        assert f"'{name}'" in text


def test_tells_crosses_from_squares_wherever_they_are() -> None:
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> tuple[Tensor, Tensor]:
        x, y = 0.3 * torch.randn(count, 1, 28, 28, generator=generator), torch.arange(count) % 2
        corners = torch.randint(0, 28 - 7, (count, 2), generator=generator).tolist()
        for k, (row, column) in enumerate(corners):
            patch = x[k, 0, row : row + 7, column : column + 7]
            if y[k]:
                patch[[0, -1], :], patch[:, [0, -1]] = 2.0, 2.0
            else:
                patch[3, :], patch[:, 3] = 2.0, 2.0
        return x, y

    x, y = images(1024)
    model = lenet(2, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(6):
        for index in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
    x, y = images(400)
    assert (model(x).argmax(1) == y).float().mean().item() > 0.97
