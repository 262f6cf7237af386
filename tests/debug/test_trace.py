from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from mlkit.debug.session import Session
from mlkit.debug.trace import Trace, replay, tensors_in


def _traced(function) -> Trace:  # type: ignore[no-untyped-def]
    session = Session(probes=False)
    session.start()
    try:
        function()
        return session.trace
    finally:
        session.stop()


def test_ops_are_recorded_in_order_with_the_users_line() -> None:
    x = torch.ones(2, 3)
    trace = _traced(lambda: (x.t() @ x).sum())
    assert [op.name for op in trace.ops] == ["t", "matmul", "sum"] or [op.name for op in trace.ops][-1] == "sum"
    assert all(op.site is not None and op.site.file == __file__ for op in trace.ops)


def test_a_slice_holds_what_a_tensor_was_computed_by_and_nothing_else() -> None:
    x, kept = torch.ones(4, requires_grad=True), []

    def work() -> None:
        y = x * 2
        _ = x + 5  # not on the way
        z = y.exp()
        kept.append(z.sum())

    trace = _traced(work)
    assert [op.name for op in trace.behind(kept)] == ["mul", "exp", "sum"]
    assert [one is x for one in trace.sources(kept)] == [True]


def test_replay_computes_the_same_with_other_values() -> None:
    x, y, kept = torch.randn(5, 3, requires_grad=True), torch.tensor([0, 2, 1, 1, 0]), []

    def work() -> None:
        scaled = x * 3
        scaled = scaled - scaled.mean(0)
        kept.append(F.cross_entropy(scaled, y))

    trace = _traced(work)
    other = torch.randn(5, 3)
    known = replay(trace.behind(kept), {id(x): other})
    scaled = other * 3
    assert torch.equal(known[id(kept[0])], F.cross_entropy(scaled - scaled.mean(0), y))


def test_replay_of_writing_in_place_does_not_touch_the_recorded_tensors() -> None:
    x, kept = torch.arange(3.0), []

    def work() -> None:
        y = x.clone()
        y[0] = 9.0
        y.mul_(2)
        kept.append(y)

    trace = _traced(work)
    known = replay(trace.behind(kept), {id(x): torch.full((3,), 5.0)})
    assert known[id(kept[0])].tolist() == [18.0, 10.0, 10.0]
    assert kept[0].tolist() == [18.0, 2.0, 4.0]


def test_calls_of_modules_by_the_users_code_are_told_from_those_within() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    trace = _traced(lambda: F.mse_loss(model(torch.randn(5, 3)), torch.zeros(5, 2)))
    assert [type(call.module) for call in trace.calls] == [nn.Sequential]
    assert [call.name for call in trace.module_calls] == ["Sequential.0", "Sequential.1", "Sequential.2", "Sequential"]
    inside = [op for op in trace.ops if op.modules]
    assert [op.name for op in inside] == ["linear", "relu", "linear"]
    assert inside[0].modules == ("Sequential", "Sequential.0")


def test_tensors_are_found_in_nested_values() -> None:
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    assert [len(found) for found in tensors_in([one, {"a": (two, None)}, "text", {"b": [three]}])] == [1, 2, 3]


def test_the_recorder_leaves_no_trace_behind() -> None:
    hooks = len(torch.nn.modules.module._global_forward_hooks)
    original = (torch.autograd.backward, nn.Module.train, torch.optim.Optimizer.__init__, nn.Module.__init__)
    _traced(lambda: torch.ones(1) + 1)
    assert torch._C._len_torch_function_stack() == 0
    assert len(torch.nn.modules.module._global_forward_hooks) == hooks
    assert original == (torch.autograd.backward, nn.Module.train, torch.optim.Optimizer.__init__, nn.Module.__init__)
