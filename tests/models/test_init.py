from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlkit.errors import ConfigError, ModelError
from mlkit.models.init import Activation, Distribution, fans, initialize, seeded, weight_std

# Layers with enough weights that their variance is known to a few per cent, with the fans counted by hand.
LAYERS: list[tuple[Callable[[], nn.Module], int, int]] = [
    (lambda: nn.Linear(200, 300), 200, 300),
    (lambda: nn.Conv1d(40, 50, 7), 40 * 7, 50 * 7),
    (lambda: nn.Conv2d(20, 60, 5), 20 * 25, 60 * 25),
    (lambda: nn.Conv2d(64, 128, 3, stride=2, dilation=2, groups=4), 16 * 9, 32 * 9),
    (lambda: nn.Conv3d(8, 32, (3, 3, 5)), 8 * 45, 32 * 45),
    (lambda: nn.ConvTranspose2d(32, 64, 4), 32 * 16, 64 * 16),
]


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize(("make", "fan_in", "fan_out"), LAYERS)
def test_variance_is_the_closed_form(
    make: Callable[[], nn.Module], fan_in: int, fan_out: int, activation: Activation, distribution: Distribution
) -> None:
    layer = initialize(make(), activation=activation, distribution=distribution, generator=stream())
    expected = 2 / (fan_in + fan_out) if activation == "tanh" else 2 / fan_in
    weight = layer.get_parameter("weight").detach()
    # The standard error of a variance estimate from n normal numbers is sqrt(2 / n) of it: five of them are allowed.
    tolerance = 5 * math.sqrt(2 / weight.numel())
    assert weight.var().item() == pytest.approx(expected, rel=tolerance)
    assert abs(weight.mean().item()) < 5 * math.sqrt(expected / weight.numel())
    assert fans(layer) == (fan_in, fan_out)
    assert weight_std(layer, activation=activation) == pytest.approx(math.sqrt(expected))
    assert not layer.get_parameter("bias").any()


def test_uniform_weights_stay_within_the_bound_of_the_papers() -> None:
    he = initialize(nn.Linear(300, 200), activation="relu", distribution="uniform", generator=stream())
    glorot = initialize(nn.Linear(300, 200), activation="tanh", distribution="uniform", generator=stream())
    for layer, bound in ((he, math.sqrt(6 / 300)), (glorot, math.sqrt(6 / 500))):
        assert 0.999 * bound < layer.weight.abs().max().item() <= bound


def test_normal_weights_are_normal() -> None:
    weight = initialize(nn.Linear(400, 500), activation="relu", generator=stream()).weight.detach().flatten()
    standard = weight / weight.std()
    assert standard.pow(4).mean().item() == pytest.approx(3, abs=0.1)  # the kurtosis; a uniform one is 1.8
    assert (standard.abs() > 1.96).float().mean().item() == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_agrees_with_torch(activation: Activation) -> None:
    # torch.nn.init is an independent implementation of the same formulas.
    ours = initialize(nn.Conv2d(32, 64, 3), activation=activation, generator=stream()).weight
    theirs = torch.empty_like(ours)
    if activation == "relu":
        nn.init.kaiming_normal_(theirs, nonlinearity="relu", generator=stream())
    else:
        nn.init.xavier_normal_(theirs, generator=stream())
    torch.testing.assert_close(ours, theirs)


def test_relu_keeps_the_second_moment_through_depth_and_half_the_variance_does_not() -> None:
    # Over draws of the weights, E[mean(out²)] = mean(x²) exactly, at any depth. One draw spreads by about
    # sqrt(5 * depth / width) = 0.6 in its logarithm, so the mean of 40 draws has a standard error of about 0.1.
    depth, width = 20, 256
    net = nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())))
    generator = stream()
    he, halved = [], []
    with torch.no_grad():
        for _ in range(40):
            initialize(net, activation="relu", generator=generator)
            x = torch.randn(4, width, generator=generator)
            he.append((net(x).square().mean() / x.square().mean()).item())
            for layer in net[::2]:
                layer.weight.div_(math.sqrt(2))  # right without a ReLU
            halved.append((net(x).square().mean() / x.square().mean()).item())
    assert 0.65 < sum(he) / 40 < 1.5
    assert sum(halved) / 40 < 1.5 * 2.0**-depth


def test_relu_keeps_the_moment_through_depth_of_convolutions() -> None:
    net = nn.Sequential(
        *(layer for _ in range(12) for layer in (nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular"), nn.ReLU()))
    )
    initialize(net, activation="relu", generator=stream())
    x = torch.randn(8, 64, 12, 12, generator=stream())
    with torch.no_grad():
        assert 0.5 < net(x).square().mean().item() / x.square().mean().item() < 2


def test_tanh_keeps_forward_and_backward_variance_in_its_linear_region() -> None:
    depth, width, draws = 10, 200, 20
    net = nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.Tanh())))
    generator = stream()
    forward, backward = 0.0, 0.0
    for _ in range(draws):
        initialize(net, activation="tanh", generator=generator)
        x = (0.01 * torch.randn(4, width, generator=generator)).requires_grad_()
        out = net(x)
        ascent = torch.randn(out.shape, generator=generator)
        (gradient,) = torch.autograd.grad(out, x, ascent)
        forward += (out.square().mean() / x.square().mean()).item() / draws
        backward += (gradient.square().mean() / ascent.square().mean()).item() / draws
    assert 0.75 < forward < 1.3
    assert 0.75 < backward < 1.3


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_lstm_weights(activation: Activation) -> None:
    # An LSTM's own activation is tanh, whatever follows it.
    layer = initialize(nn.LSTM(150, 100, num_layers=2, bidirectional=True), activation=activation, generator=stream())
    for name, parameter in layer.named_parameters():
        if not name.startswith("weight"):
            continue
        for gate in parameter.detach().chunk(4):
            if name.startswith("weight_ih"):
                expected = 2 / (gate.shape[1] + 100)  # 150 inputs, then 2 * 100 from the layer below
                assert gate.var().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / gate.numel()))
            else:
                torch.testing.assert_close(gate @ gate.T, torch.eye(100), atol=1e-5, rtol=0)
                # The mean square of an orthogonal matrix of h units is 1 / h: Glorot's 2 / (h + h).
                assert gate.square().mean().item() == pytest.approx(2 / 200, rel=1e-4)


def test_gates_of_an_lstm_are_drawn_apart() -> None:
    layer = initialize(nn.LSTM(20, 16), activation="tanh", generator=stream())
    gates = layer.weight_hh_l0.detach().chunk(4)
    assert not any(torch.equal(gates[i], gates[j]) for i in range(4) for j in range(i))


def test_forget_gates_start_open_and_only_they() -> None:
    # Gers et al. 2000; Jozefowicz et al. 2015: a forget bias of 1. torch adds two biases: their sum has to be 1.
    layer = initialize(nn.LSTM(3, 5, num_layers=2, bidirectional=True), activation="tanh")
    for suffix in ("l0", "l1", "l0_reverse", "l1_reverse"):
        total = layer.get_parameter(f"bias_ih_{suffix}") + layer.get_parameter(f"bias_hh_{suffix}")
        torch.testing.assert_close(total.detach(), torch.cat([torch.zeros(5), torch.ones(5), torch.zeros(10)]))


def test_the_forget_gate_is_where_the_bias_says() -> None:
    # Behaviour, not layout: with silent inputs and a large forget bias, the cell keeps what it holds.
    layer = initialize(nn.LSTM(1, 4), activation="tanh")
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.mul_(20 if name.startswith("bias") else 0)
        held = torch.full((1, 1, 4), 0.7)
        _, (_, cell) = layer(torch.zeros(50, 1, 1), (torch.zeros(1, 1, 4), held))
    torch.testing.assert_close(cell, held, atol=1e-4, rtol=0)


def test_cells_are_treated_like_layers() -> None:
    layer = initialize(nn.LSTM(7, 6), activation="tanh", generator=stream())
    cell = initialize(nn.LSTMCell(7, 6), activation="tanh", generator=stream())
    for name, parameter in cell.named_parameters():
        assert torch.equal(parameter, layer.get_parameter(f"{name}_l0"))


def test_gru_and_projection() -> None:
    gru = initialize(nn.GRU(30, 20), activation="tanh", generator=stream())
    assert not gru.bias_ih_l0.any()
    assert not gru.bias_hh_l0.any()
    for gate in gru.weight_hh_l0.detach().chunk(3):
        torch.testing.assert_close(gate @ gate.T, torch.eye(20), atol=1e-5, rtol=0)
    projected = initialize(nn.LSTM(30, 60, proj_size=40), activation="tanh", generator=stream())
    weight = projected.weight_hr_l0.detach()
    assert weight.shape == (40, 60)
    assert weight.var().item() == pytest.approx(2 / 100, rel=5 * math.sqrt(2 / weight.numel()))


def test_head_starts_at_the_loss_of_a_uniform_guess() -> None:
    net = nn.Sequential(nn.Linear(50, 1000), nn.ReLU(), nn.Linear(1000, 10))
    head = net[2]
    assert isinstance(head, nn.Linear)
    initialize(net, activation="relu", head=head, generator=stream())
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.05)
    loss = nn.functional.cross_entropy(net(torch.randn(500, 50, generator=stream())), torch.arange(500) % 10)
    assert loss.item() == pytest.approx(math.log(10), rel=0.05)


def test_norms_and_embeddings() -> None:
    norm, table = nn.BatchNorm2d(4), nn.Embedding(500, 40, padding_idx=3)
    norm(torch.randn(8, 4, 5, 5))
    with torch.no_grad():
        norm.weight.fill_(3)
    initialize(nn.Sequential(norm, table), activation="relu", generator=stream())
    assert norm.running_mean is not None
    assert not norm.running_mean.any()
    assert torch.equal(norm.weight, torch.ones(4))
    assert table.weight.std().item() == pytest.approx(1, rel=0.05)
    assert not table.weight[3].any()


def test_other_parameters_are_left_alone() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((3,), 0.37))
            self.linear = nn.Linear(3, 3)

    model = initialize(Scaled(), activation="relu")
    assert torch.equal(model.scale, torch.full((3,), 0.37))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_generator_decides_and_the_global_one_is_left() -> None:
    net, before = nn.Sequential(nn.Linear(8, 8), nn.LSTM(8, 8), nn.Embedding(5, 2)), torch.get_rng_state()
    initialize(net, activation="relu", generator=stream())
    first = [parameter.detach().clone() for parameter in net.parameters()]
    assert torch.equal(before, torch.get_rng_state())
    initialize(net, activation="relu", generator=stream())
    assert all(torch.equal(a, b) for a, b in zip(first, net.parameters(), strict=True))


def test_refuses_what_it_cannot_set() -> None:
    with pytest.raises(ModelError, match=r"'0\.weight' has no shape yet(.|\n)*call the model once"):
        initialize(nn.Sequential(nn.LazyLinear(3)), activation="relu")
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    with pytest.raises(ModelError, match=r"weight of '0' is computed(.|\n)*initialise first"):
        initialize(nn.Sequential(normed), activation="relu")
    with pytest.raises(ModelError, match=r"without fans(.|\n)*LayerNorm"):
        fans(nn.LayerNorm(3))


def test_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        initialize(nn.Linear(2, 2), activation="relo", distribution="cauchy")  # type: ignore[arg-type]
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].todo == "did you mean 'relu'?"
    assert caught.value.problems[1].allowed == "'normal', 'uniform'"


def test_seeded_leaves_the_global_stream_and_repeats() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (seeded(lambda: nn.Linear(4, 4), seed=1) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, seeded(lambda: nn.Linear(4, 4), seed=2).weight)


def test_without_a_seed_the_global_stream_decides() -> None:
    torch.manual_seed(5)
    first = seeded(lambda: nn.Linear(4, 4), seed=None).weight
    torch.manual_seed(5)
    assert torch.equal(first, nn.Linear(4, 4).weight)


def test_seeded_keeps_a_module_where_it_was_put() -> None:
    assert seeded(lambda: nn.Linear(2, 2, device="meta"), seed=0).weight.device.type == "meta"
    with torch.device("meta"):
        assert seeded(lambda: nn.Linear(2, 2), seed=0).weight.device.type == "meta"


def test_seeded_restores_the_stream_when_the_factory_fails() -> None:
    def broken() -> nn.Module:
        torch.rand(3)
        raise ValueError("no")

    before: Tensor = torch.get_rng_state()
    with pytest.raises(ValueError, match="no"):
        seeded(broken, seed=0)
    assert torch.equal(before, torch.get_rng_state())
