from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mlkit.errors import ConfigError, ModelError
from mlkit.models import mlp
from mlkit.models.init import fans
from mlkit.models.mlp import embedding_dim


def test_one_hidden_layer_by_default() -> None:
    model = mlp(20, 3)
    kinds = (nn.Linear, nn.ReLU, nn.Dropout, nn.BatchNorm1d)
    assert [type(module) for module in model.modules() if isinstance(module, kinds)] == [nn.Linear, nn.ReLU, nn.Linear]
    assert sum(p.numel() for p in model.parameters()) == 20 * 128 + 128 + 128 * 3 + 3


def test_computes_what_the_formula_says() -> None:
    model, x = mlp(5, 2, hidden=(7, 6), activation="tanh", seed=0), torch.randn(4, 5)
    first, second = (model.get_submodule(f"hidden.{k}.linear") for k in (0, 1))
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    expected = torch.tanh(torch.tanh(x @ first.weight.T + first.bias) @ second.weight.T + second.bias)
    torch.testing.assert_close(model(x), expected @ model.head.weight.T + model.head.bias)


def test_without_hidden_layers_it_is_linear() -> None:
    model = mlp(5, 2, hidden=[], seed=0)
    assert sum(p.numel() for p in model.parameters()) == 5 * 2 + 2
    a, b = torch.randn(3, 5), torch.randn(3, 5)
    torch.testing.assert_close(model(a + b), model(a) + model(b) - model.head.bias)


def test_examples_of_any_shape_are_flattened() -> None:
    model, x = mlp(12, 2, seed=0), torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(model(x), model(x.reshape(4, 12)))
    assert mlp(1, 2)(torch.randn(4)).shape == (4, 2)


@pytest.mark.parametrize(("normalization", "kind"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)])
def test_normalization_stands_before_the_activation(normalization: str, kind: type[nn.Module]) -> None:
    model = mlp(6, 2, hidden=(64, 32), normalization=normalization, seed=0)  # type: ignore[arg-type]
    block = model.get_submodule("hidden.0")
    assert [type(module) for module in block.children()] == [nn.Linear, kind, nn.ReLU]
    assert block.get_submodule("linear").bias is None  # the norm has one
    seen: list[torch.Tensor] = []
    block.get_submodule("norm").register_forward_hook(lambda _module, _args, output: seen.append(output))
    model(10 + 5 * torch.randn(256, 6))
    axis = 0 if normalization == "batch" else 1
    torch.testing.assert_close(seen[0].mean(axis), torch.zeros(seen[0].mean(axis).shape), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[0].std(axis, correction=0), torch.ones(seen[0].mean(axis).shape), atol=1e-2, rtol=0)


def test_initialisation_follows_the_activation() -> None:
    for activation in ("relu", "gelu", "tanh"):
        model = mlp(300, 4, hidden=(200, 100), activation=activation, seed=0)
        for layer in (model.get_submodule("hidden.0.linear"), model.get_submodule("hidden.1.linear")):
            fan_in, fan_out = fans(layer)
            expected = 2 / (fan_in + fan_out) if activation == "tanh" else 2 / fan_in
            assert layer.get_parameter("weight").var().item() == pytest.approx(expected, rel=0.05)
            assert not layer.get_parameter("bias").any()
        assert model.head.weight.std().item() == pytest.approx(0.01, rel=0.15)


def test_embeddings_join_the_numbers() -> None:
    model = mlp(3, 2, cardinalities=(5, 40), seed=0)
    widths = [embedding_dim(5), embedding_dim(40)]
    assert [(table.num_embeddings, table.embedding_dim) for table in model.embeddings] == [
        (5, widths[0]),
        (40, widths[1]),
    ]
    x, categories = torch.randn(6, 3), torch.tensor([[0, 1], [4, 39], [2, 7], [2, 7], [1, 0], [3, 3]])
    joined = torch.cat([x, model.embeddings[0](categories[:, 0]), model.embeddings[1](categories[:, 1])], dim=1)
    torch.testing.assert_close(model(x, categories), model.head(model.hidden(joined)))
    changed = categories.clone()
    changed[0, 1] = 2
    moved = (model(x, categories) != model(x, changed)).any(1)
    assert moved.tolist() == [True, False, False, False, False, False]


def test_categories_alone_will_do() -> None:
    assert mlp(0, 2, cardinalities=(5,))(torch.zeros(4, 0), torch.zeros(4, 1, dtype=torch.long)).shape == (4, 2)


def test_embedding_widths_are_those_of_the_rule() -> None:
    assert [embedding_dim(n) for n in (1, 2, 1000, 10**6)] == [2, 2, round(1.6 * 1000**0.56), 600]
    assert all(embedding_dim(n) <= embedding_dim(n + 1) for n in range(1, 2000))


def test_dropout_is_off_in_evaluation() -> None:
    model, x = mlp(5, 2, dropout=0.5, seed=0), torch.randn(4, 5)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_seeds() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = (mlp(5, 2, cardinalities=(4,), seed=3) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.head.weight, mlp(5, 2, seed=4).head.weight)


def test_other_batches_are_refused() -> None:
    model = mlp(3, 2, cardinalities=(5, 4))
    with pytest.raises(ModelError) as caught:
        model(torch.zeros(2, 4), torch.zeros(2, 1, dtype=torch.long))
    (problem,) = caught.value.problems
    assert problem.received == "4 numbers and 1 categories an example"
    assert problem.allowed == "3 numbers and 2 categories"
    with pytest.raises(ModelError, match="3 numbers and 0 categories an example"):
        model(torch.zeros(2, 3))


def test_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        mlp(-1, 0, hidden=(3, 0), activation="rleu", normalization="bacth", dropout=1.5, cardinalities=3)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 7
    assert "did you mean 'batch'?" in str(caught.value)
    with pytest.raises(ConfigError, match=r"'hidden' is not a list\n  received: 100"):
        mlp(3, 2, hidden=100)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a model without inputs"):
        mlp(0, 2)


def test_a_hidden_layer_learns_what_a_line_cannot() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(512, 2, generator=generator) * 2 - 1
    y = (x.prod(1) > 0).long()  # exclusive or

    def accuracy(hidden: tuple[int, ...]) -> float:
        model = mlp(2, 2, hidden=hidden, seed=0)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(300):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return (model(x).argmax(1) == y).float().mean().item()

    assert accuracy((32,)) > 0.98
    assert accuracy(()) < 0.75


def test_embeddings_learn_a_table_of_categories() -> None:
    # The target depends on the categories alone, by a fixed random table: numbers cannot help.
    generator = torch.Generator().manual_seed(0)
    categories = torch.randint(0, 20, (1024, 1), generator=generator)
    answers = torch.randn(20, 1, generator=generator)
    x, y = torch.randn(1024, 2, generator=generator), answers[categories[:, 0]]
    model = mlp(2, 1, cardinalities=(20,), hidden=(64,), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = nn.functional.mse_loss(model(x, categories), y).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x, categories), y)
        loss.backward()
        optimizer.step()
    assert first > 0.5 * answers.var().item()
    assert loss.item() < 0.01
    assert math.isfinite(loss.item())
