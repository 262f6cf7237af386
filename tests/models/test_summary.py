from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mlkit import models
from mlkit.errors import ModelError
from mlkit.models import summary
from mlkit.models.summary import WIDTH, Layer, Summary
from mlkit.task import Task


def layer(found: Summary, name: str) -> Layer:
    (match,) = (one for one in found.layers if one.name == name)
    return match


@pytest.mark.parametrize(
    ("module", "shape", "output", "parameters", "flops"),
    [
        # Hand counts: two FLOPs for each weight that an output uses, bias and element-wise work left out.
        (nn.Linear(5, 7), (2, 5), (2, 7), 5 * 7 + 7, 2 * 2 * 5 * 7),
        (nn.Linear(5, 7, bias=False), (2, 3, 5), (2, 3, 7), 35, 2 * 6 * 5 * 7),
        (nn.Conv2d(4, 6, 3), (2, 4, 8, 8), (2, 6, 6, 6), 4 * 6 * 9 + 6, 2 * 2 * 36 * 4 * 6 * 9),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 9, 9), (1, 6, 5, 5), 222, 2 * 25 * 4 * 6 * 9),
        (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 8, 8), (1, 6, 6, 6), 2 * 6 * 9 + 6, 2 * 36 * 2 * 6 * 9),
        (nn.Conv2d(4, 6, 3, dilation=2), (1, 4, 8, 8), (1, 6, 4, 4), 222, 2 * 16 * 4 * 6 * 9),
        (nn.Conv2d(8, 8, 3, groups=8, stride=2), (1, 8, 9, 9), (1, 8, 4, 4), 80, 2 * 16 * 8 * 9),
        (nn.Conv1d(3, 5, 4), (2, 3, 10), (2, 5, 7), 3 * 5 * 4 + 5, 2 * 2 * 7 * 3 * 5 * 4),
        (nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3), (1, 2, 2, 2, 2), 18, 2 * 8 * 2 * 8),
        (nn.ConvTranspose2d(3, 5, 2, stride=2), (1, 3, 4, 4), (1, 5, 8, 8), 65, 2 * 16 * 3 * 5 * 4),
        (nn.BatchNorm2d(4), (2, 4, 3, 3), (2, 4, 3, 3), 8, 0),
        (nn.LayerNorm(6), (2, 6), (2, 6), 12, 0),
        (nn.MaxPool2d(2), (2, 4, 6, 6), (2, 4, 3, 3), 0, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_hand_counts(
    module: nn.Module, shape: tuple[int, ...], output: tuple[int, ...], parameters: int, flops: int
) -> None:
    found = summary(module, torch.zeros(shape))
    assert found.layers[0].output_shape == output
    assert (found.parameters, found.flops) == (parameters, flops)
    assert found.flops_per_example == flops / shape[0]


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, 4 * 6 * (3 + 6)),
        ({"num_layers": 2}, 4 * 6 * (3 + 6) + 4 * 6 * (6 + 6)),
        ({"bidirectional": True}, 2 * 4 * 6 * (3 + 6)),
        ({"bidirectional": True, "num_layers": 2}, 2 * 4 * 6 * (3 + 6) + 2 * 4 * 6 * (12 + 6)),
    ],
)
def test_hand_counts_of_an_lstm(options: dict[str, Any], weights: int) -> None:
    module = nn.LSTM(3, 6, batch_first=True, **options)
    found = summary(module, torch.zeros(2, 5, 3))
    layers = options.get("num_layers", 1)
    directions = 1 + options.get("bidirectional", False)
    assert found.flops == 2 * weights * 2 * 5
    assert found.parameters == weights + layers * directions * 2 * 4 * 6
    state = (layers * directions, 2, 6)
    assert found.layers[0].output_shape == [(2, 5, 6 * directions), [state, state]]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_hand_counts_of_our_lstm(layers: int, bidirectional: bool) -> None:
    task = Task("classification", "series", (29, 12), num_outputs=9, has_lengths=True)
    model = models.build("lstm", task, hidden=16, layers=layers, bidirectional=bidirectional)
    directions = 1 + bidirectional
    inputs = [12] + [16 * directions] * (layers - 1)
    recurrent = directions * sum(8 * 16 * (16 + n) for n in inputs) * 29
    assert summary(model, task=task).flops_per_example == recurrent + 2 * 16 * directions * 9


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: models.lenet(), (2, 1, 28, 28)),
        (lambda: models.mlp(20, 3, hidden=(7, 6)), (4, 20)),
        (lambda: models.resnet20(), (2, 3, 32, 32)),
        (lambda: models.resnet18(image_size=32, normalization="none"), (1, 3, 32, 32)),
        (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 5, 16)),
    ],
)
def test_agrees_with_torchs_counter(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    model, x = make(), torch.zeros(shape)
    with FlopCounterMode(display=False) as counter:
        model(x)
    found = summary(model, x)
    assert found.flops == counter.get_total_flops() > 0
    assert found.flops == sum(one.flops for one in found.layers)
    assert found.parameters == sum(p.numel() for p in model.parameters())


def test_published_counts_of_resnet50() -> None:
    # torchvision publishes 25.6 million parameters and 4.09 GFLOPS, which counts a multiplication and addition as one.
    with torch.device("meta"):
        model, x = models.resnet50(), torch.zeros(1, 3, 224, 224)
    found = summary(model, x)
    assert found.parameters == 25_557_032
    assert round(found.flops / 2e9, 2) == 4.09
    assert found.activation_bytes > 0


def test_memory() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)), torch.zeros(5, 4)
    found = summary(model, x)
    # 40 + 16 + 18 parameters, running mean and variance of 8, and an 8-byte count of batches.
    assert found.parameter_bytes == 4 * (40 + 16 + 18 + 16) + 8
    assert summary(model, torch.zeros(10, 4)).activation_bytes == pytest.approx(2 * found.activation_bytes, rel=0.2)


class Shared(nn.Module):
    """Uses one layer twice, ties a weight, and leaves a part alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.encoder = nn.Linear(4, 4)
        self.alias = self.encoder
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embedding.weight
        self.unused = nn.Sequential(nn.Linear(4, 3), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.alias(self.encoder(self.embedding(tokens)))
        return self.head(x)  # type: ignore[no-any-return]


def test_shared_modules_and_weights_count_once() -> None:
    model = Shared()
    found = summary(model, torch.zeros(3, dtype=torch.long))
    assert found.parameters == 40 + 20 + 15 == sum(p.numel() for p in model.parameters())
    assert layer(found, "encoder").calls == 2
    assert layer(found, "encoder").flops == 2 * (2 * 3 * 4 * 4)
    assert layer(found, "alias").shared_with == "encoder"
    assert (layer(found, "alias").parameters, layer(found, "alias").flops) == (0, 0)
    assert layer(found, "head").shared_with == "embedding"
    assert layer(found, "head").parameters == 0
    assert layer(found, "head").flops == 2 * 3 * 4 * 10
    assert found.flops == 2 * (2 * 3 * 4 * 4) + 2 * 3 * 4 * 10
    text = str(found)
    assert "Linear x2" in text
    assert "as encoder" in text
    assert "as embedding" in text


def test_unused_modules_are_named_once() -> None:
    found = summary(Shared(), torch.zeros(3, dtype=torch.long))
    assert found.unused == ("unused",)
    assert not layer(found, "unused.0").used
    assert "unused      unused" in str(found)
    assert layer(found, "unused.0").output_shape is None


def test_a_weight_that_only_functions_read_is_used() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.scales = nn.Linear(4, 4), nn.ParameterList([nn.Parameter(torch.ones(4))])
            self.empty = nn.ModuleList()

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.table.weight) * self.scales[0]

    found = summary(Functional(), torch.zeros(2, 4))
    assert found.unused == ()
    assert found.flops == found.layers[0].flops == 2 * 2 * 16
    assert "empty" not in str(found)


class Nested(nn.Module):
    """Takes keywords, returns a dictionary with a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, values: Tensor, mask: Tensor) -> dict[str, object]:
        steps, state = self.lstm(input=values * mask)
        return {"logits": self.head(steps[:, -1]), "state": state, "note": None}


def test_mappings_in_and_nested_outputs() -> None:
    found = summary(Nested(), {"values": torch.zeros(2, 5, 3), "mask": torch.ones(2, 5, 1)})
    assert found.layers[0].output_shape == {"logits": (2, 2), "state": [(1, 2, 4), (1, 2, 4)], "note": None}
    assert found.batch_size == 2
    assert found.flops == 8 * 4 * (4 + 3) * 10 + 2 * 2 * 4 * 2
    assert found.input_shapes == ({"values": (2, 5, 3), "mask": (2, 5, 1)},)
    assert json.loads(json.dumps(found.to_dict()))["flops"] == found.flops


def test_several_inputs_and_a_scalar() -> None:
    class Model(nn.Module):
        def forward(self, temperature: Tensor, x: Tensor) -> Tensor:
            return x / temperature

    assert summary(Model(), torch.tensor(2.0), torch.zeros(3, 2)).batch_size == 1


def test_frozen_parameters() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    model[0].requires_grad_(False)
    found = summary(model, torch.zeros(1, 4))
    assert (found.parameters, found.trainable) == (58, 18)
    assert "parameters  58 (40 frozen)" in str(found)


def test_compiled_models_are_looked_through() -> None:
    model, x = models.lenet(seed=0), torch.zeros(2, 1, 28, 28)
    expected = summary(model, x)
    assert summary(torch.compile(model, backend="eager"), x) == expected  # type: ignore[arg-type]
    model.compile(backend="eager")
    assert summary(model, x) == expected

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.compile(nn.Linear(4, 3), backend="eager")

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    found = summary(Outer(), torch.zeros(2, 4))
    assert (found.flops, found.parameters) == (2 * 2 * 12, 15)
    assert found.unused == ()


def test_a_model_on_the_meta_device_costs_no_memory() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(10**5, 10**5), nn.ReLU(), nn.Linear(10**5, 1))
    task = Task("regression", "vector", (10**5,), num_outputs=1)
    found = summary(model, task=task)  # example inputs go where the model is
    assert found.parameters == 10**10 + 2 * 10**5 + 1
    assert found.flops_per_example == 2 * (10**10 + 10**5)


def test_the_models_state_is_as_before() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 2))
    model[1].eval()
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(2, 1, 8, 8)
    torch.manual_seed(3)
    draws = torch.get_rng_state()
    for inputs in ((x,), (x, x)):  # one that works, one that fails
        try:
            summary(model, *inputs)
        except ModelError:
            assert len(inputs) == 2
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        assert torch.equal(torch.get_rng_state(), draws)


def test_under_no_grad_it_measures_the_same() -> None:
    model, x = models.lenet(), torch.zeros(2, 1, 28, 28)
    expected = summary(model, x)
    with torch.no_grad():
        assert summary(model, x) == expected


def test_models_that_fail_are_told_with_shapes_and_cause() -> None:
    with pytest.raises(ModelError) as caught:
        summary(nn.Sequential(nn.Linear(4, 2)), torch.zeros(2, 5))
    (problem,) = caught.value.problems
    assert problem.what == "the model could not be run on the example inputs"
    assert problem.received is not None
    assert problem.received.startswith("2x5; RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert problem.todo == "give inputs such as the model is trained on"
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_recurrent_layer_that_fails_is_told_likewise() -> None:
    with pytest.raises(ModelError, match=r"could not be run on the example inputs(.|\n)*TypeError"):
        summary(nn.LSTM(3, 4), {"values": torch.zeros(2, 3)})


def test_what_cannot_be_summed_up_is_told() -> None:
    model = nn.Linear(4, 2)
    for inputs in ((), ({},)):
        with pytest.raises(ModelError, match="no example inputs\n  to do:    give a batch, summary"):
            summary(model, *inputs)
    with pytest.raises(ModelError, match="'weight' has no shape yet"):
        summary(nn.LazyLinear(3), torch.zeros(1, 2))


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_torchscript_is_told() -> None:
    model = nn.Sequential(torch.jit.script(nn.Linear(4, 2)))
    with pytest.raises(ModelError, match=r"TorchScript(.|\n)*'0'(.|\n)*scripted from"):
        summary(model, torch.zeros(1, 4))


EXAMPLES: dict[str, Callable[[], Summary]] = {
    "lenet": lambda: summary(models.lenet(), torch.zeros(2, 1, 28, 28)),
    "resnet110": lambda: summary(models.resnet110(), torch.zeros(2, 3, 32, 32)),
    "resnet50": lambda: summary(models.resnet50(image_size=64), torch.zeros(2, 3, 64, 64)),
    "lstm": lambda: summary(models.lstm(12, 9, layers=3, bidirectional=True), torch.zeros(2, 29, 12)),
    "transformer": lambda: summary(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2, enable_nested_tensor=False),
        torch.zeros(2, 5, 16),
    ),
    "nested": lambda: summary(Nested(), {"values": torch.zeros(2, 5, 3), "mask": torch.ones(2, 5, 1)}),
    "shared": lambda: summary(Shared(), torch.zeros(3, dtype=torch.long)),
    "unused": lambda: summary(
        nn.ModuleDict({"used": nn.Linear(4, 2), **{f"left_out_{k}": nn.Linear(4, 2) for k in range(30)}})["used"],
        torch.zeros(1, 4),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_fits_a_terminal_of_80_columns(name: str) -> None:
    found = EXAMPLES[name]()
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= WIDTH == 80
    assert all(line == line.rstrip() for line in lines)
    assert len(found.rows()) <= 40
    head, rule, *rows = lines[: len(found.rows()) + 2]
    assert set(rule) == {"-"}
    assert {len(row) for row in rows} == {len(head)} == {len(rule)}


def test_long_names_and_many_unused_modules_fit_too() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a_rather_long_name_for_a_part = nn.ModuleDict({"which_holds_another_long_name": nn.Linear(4, 2)})
            self.idle = nn.ModuleList(nn.ModuleDict({f"left_out_number_{k}": nn.Linear(4, 2)}) for k in range(12))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            out = self.a_rather_long_name_for_a_part["which_holds_another_long_name"](x)
            return {f"output number {k}": out for k in range(9)}

    text = str(summary(Model(), torch.zeros(1, 4)))
    assert max(map(len, text.splitlines())) <= 80
    assert "holds_another_long_name" in text  # the end of a name says more than its start
    assert "1x2" in text


def test_deep_models_fold_and_the_sums_stay() -> None:
    found = summary(models.resnet110(), torch.zeros(1, 3, 32, 32))
    for depth in (1, 2, 3, None):
        rows = found.rows(depth=depth)
        assert sum(int(row[3].replace(",", "")) for row in rows) == found.parameters
    assert len(found.rows(depth=3)) > 200
    assert found.rows(depth=0) == [("(model)", "ResNet", "1x10", f"{found.parameters:,}", "506 M")]


def test_numbers_are_rounded_to_three_digits_in_any_unit() -> None:
    def shown(flops: int, size: int) -> tuple[str, str]:
        lines = Summary((), ((1,),), 1, 0, 0, flops, size, 0, ()).totals()
        return lines[1].split("an example")[0].split("FLOPs")[1].strip(), lines[2].split("memory")[1].split(" param")[
            0
        ].strip()

    assert shown(0, 0) == ("0", "0 B")
    assert shown(999, 1023) == ("999", "1023 B")
    assert shown(1000, 1024) == ("1 k", "1 KiB")
    assert shown(999_400, 999 * 1024) == ("999 k", "999 KiB")
    assert shown(999_700, 1010 * 1024) == ("1 M", "0.986 MiB")
    assert shown(8_180_000_000, 3 * 2**30) == ("8.18 G", "3 GiB")
    assert shown(12 * 10**18, 5 * 2**40) == ("1.2e+04 P", "5 TiB")


def test_the_notebooks_table_escapes_and_holds_the_same_cells() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("<b>", nn.Linear(4, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.get_submodule("<b>")(x)  # type: ignore[no-any-return]

    found = summary(Odd(), torch.zeros(1, 4))
    page = found._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    for row in found.rows():
        assert f"<td>{row[3]}</td>" in page
    assert "color" not in page
