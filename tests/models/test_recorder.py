from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from mlkit.models.recorder import record, recurrent_flops, shape_of


def test_flops_belong_to_the_module_that_did_them() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 8)
            self.weight = nn.Parameter(torch.randn(8, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) @ self.weight

    model, x = Model(), torch.zeros(5, 4)
    seen = record(model, lambda: model(x))
    assert seen.flops[id(model.inner)] == 2 * 5 * 4 * 8
    assert seen.flops[id(model)] == 2 * 5 * 8 * 3
    assert seen.shapes[id(model)] == (5, 3)
    assert seen.calls[id(model.inner)] == 1


def test_saved_bytes_are_those_of_the_tensors_that_backward_needs() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), torch.zeros(5, 4)
    seen = record(model, lambda: model(x))
    # The first layer keeps its input, tanh its output, which is also what the last layer keeps: once.
    assert sum(seen.saved.values()) == 4 * (5 * 4 + 5 * 8)


def test_frozen_layers_keep_nothing() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).requires_grad_(False)
    seen = record(model, lambda: model(torch.zeros(5, 4)))
    assert not seen.saved


def test_what_was_read_by_others_is_used() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.read.weight

    model = Tied()
    seen = record(model, lambda: model(torch.zeros(2, 4)))
    assert seen.used(model.read)
    assert not seen.used(model.idle)
    assert seen.used(model)


def test_a_module_that_catches_the_failure_of_another_keeps_the_books_right() -> None:
    class Fussy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            self.first(x)
            raise ValueError("not today")

    class Robust(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fussy, self.plain = Fussy(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            with suppress(ValueError):
                x = self.fussy(x)
            return self.plain(x)

    model = Robust()
    seen = record(model, lambda: model(torch.zeros(1, 4)))
    assert seen.flops[id(model.fussy.first)] == 32
    assert seen.flops[id(model.plain)] == 16
    assert seen.flops[id(model.fussy)] == seen.flops[id(model)] == 0


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_flops_agree_with_the_same_network_of_cells(kind: type[nn.RNNBase]) -> None:
    # Cells do their products one by one, where torch's counter sees them.
    cells = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}

    class Unrolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cells[kind](5, 7)

        def forward(self, x: Tensor) -> object:
            state = None
            for step in x.unbind(1):
                state = self.cell(step, state)
            return state

    layer, unrolled, x = kind(5, 7, batch_first=True), Unrolled(), torch.zeros(3, 11, 5)
    fused = sum(record(layer, lambda: layer(x)).flops.values())
    assert fused == sum(record(unrolled, lambda: unrolled(x)).flops.values())
    assert fused == recurrent_flops(layer, 3 * 11)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, 4 * 7 * (5 + 7)),
        ({"num_layers": 3}, 4 * 7 * (5 + 7) + 2 * 4 * 7 * (7 + 7)),
        ({"bidirectional": True}, 2 * 4 * 7 * (5 + 7)),
        ({"bidirectional": True, "num_layers": 2}, 2 * 4 * 7 * (5 + 7) + 2 * 4 * 7 * (14 + 7)),
        pytest.param(
            {"proj_size": 3},
            4 * 7 * (5 + 3) + 3 * 7,
            marks=pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
        ),
    ],
)
def test_recurrent_flops_of_deep_and_wide_layers(options: dict[str, int], weights: int) -> None:
    layer = nn.LSTM(5, 7, batch_first=True, **options)
    assert sum(record(layer, lambda: layer(torch.zeros(3, 11, 5))).flops.values()) == 2 * weights * 33


def test_recurrent_layers_called_in_other_ways() -> None:
    layer = nn.LSTM(5, 7)
    each = recurrent_flops(layer, 1)
    assert record(layer, lambda: layer(torch.zeros(11, 5))).flops[id(layer)] == 11 * each  # no batch
    assert record(layer, lambda: layer(input=torch.zeros(11, 3, 5))).flops[id(layer)] == 33 * each
    packed = pack_padded_sequence(torch.zeros(11, 3, 5), torch.tensor([11, 4, 2]))
    seen = record(layer, lambda: layer(packed))
    assert seen.flops[id(layer)] == 17 * each  # padding costs nothing
    assert seen.shapes[id(layer)] == [(17, 7), [(1, 3, 7), (1, 3, 7)]]


class Meddler(nn.Module):
    """Changes everything it can reach while it runs."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.fails = fails
        self.norm = nn.BatchNorm1d(4)
        self.table = nn.Embedding(6, 4, max_norm=0.5)
        self.weight = nn.Parameter(torch.ones(4))
        self.replaced = nn.Parameter(torch.ones(4))
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("cache", None)
        self.register_buffer("swapped", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        import random

        import numpy as np

        self.train()
        x.mul_(2)
        out: Tensor = self.norm(x + self.table(torch.arange(len(x)) % 6)) * self.weight
        with torch.no_grad():
            self.weight.sub_(1)
            torch._foreach_add_([self.table.weight, self.weight], 1.0)
        self.replaced = nn.Parameter(torch.zeros(4))
        self.count += 1
        self.cache = torch.ones(3)
        self.swapped = torch.ones(2)
        out = out + torch.randn(4) + random.random() + float(np.random.rand())
        if self.fails:
            raise ValueError("broken")
        return out


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails: bool) -> None:
    import random

    import numpy as np

    model, x = Meddler(fails=fails), torch.randn(5, 4)
    model.norm.eval()  # a mixture of modes
    modes = {name: module.training for name, module in model.named_modules()}
    parameters = {name: (p, p.detach().clone(), p.grad) for name, p in model.named_parameters()}
    buffers = {name: (b, b.clone()) for name, b in model.named_buffers()}
    x_before = x.clone()
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    draws = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    attention, grad = torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()
    if fails:
        with pytest.raises(ValueError, match="broken"):
            record(model, lambda: model(x), inputs=[x])
    else:
        record(model, lambda: model(x), inputs=[x])
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert [name for name, _ in model.named_parameters()] == list(parameters)
    for name, parameter in model.named_parameters():
        same, before, gradient = parameters[name]
        assert parameter is same
        assert torch.equal(parameter, before)
        assert parameter.grad is gradient
    assert [name for name, _ in model.named_buffers()] == list(buffers)
    for name, buffer in model.named_buffers():
        assert buffer is buffers[name][0]
        assert torch.equal(buffer, buffers[name][1])
    assert model.cache is None
    assert torch.equal(x, x_before)
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == hooks
    after = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    assert torch.equal(after[0], draws[0])
    assert after[1:] == draws[1:]
    assert (torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()) == (attention, grad)
    assert not nn.modules.module._global_forward_hooks
    assert not nn.modules.module._global_forward_pre_hooks


def test_a_backward_pass_under_way_is_not_disturbed() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)), torch.randn(6, 4)
    loss = model(x).sum()
    record(model, lambda: model(x), inputs=[x])
    loss.backward()  # fails if a tensor that it needs was written
    assert all(p.grad is not None for p in model.parameters())


def test_a_users_hooks_run_and_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 2))
    calls: list[str] = []
    model[0].register_forward_pre_hook(lambda _module, _args: calls.append("before"))
    model[0].register_forward_hook(lambda _module, _args, output: (calls.append("after"), output * 0)[1])
    seen = record(model, lambda: model(torch.ones(1, 4)))
    assert calls == ["before", "after"]
    assert seen.flops[id(model[0])] == 16
    model(torch.ones(1, 4))
    assert calls == ["before", "after"] * 2


def test_a_users_failing_pre_hook_is_what_is_told() -> None:
    model = nn.Sequential(nn.Linear(4, 2))

    def refuse(_module: nn.Module, _args: object) -> None:
        raise ValueError("not before noon")

    model.register_forward_pre_hook(refuse)
    with pytest.raises(ValueError, match="not before noon"):
        record(model, lambda: model(torch.ones(1, 4)))


def test_shapes_of_nested_values() -> None:
    packed = pack_padded_sequence(torch.zeros(4, 2, 3), torch.tensor([4, 1]))
    value = {"a": torch.zeros(2, 3), "b": (torch.zeros(()), None, "text"), 3: [packed]}
    assert shape_of(value) == {"a": (2, 3), "b": [(), None, "str"], "3": [(5, 3)]}
