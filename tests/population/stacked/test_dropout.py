from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mlkit.models import lstm, mlp
from mlkit.population.stacked.dropout import KeyedDropout, KeyedLSTM, dropout_factors, set_step, use_keyed_dropout
from mlkit.population.stacked.errors import CannotStackError


def test_a_mask_is_a_function_of_key_step_layer_and_call() -> None:
    x = torch.ones(64, 64)

    def draw(key: int, step: int, layer: str, call: int = 0) -> torch.Tensor:
        dropout = KeyedDropout(0.5, key=key, layer=layer)
        dropout.set_step(step)
        for _ in range(call):
            dropout(x)
        return dropout(x)

    first = draw(1, 2, "a")
    assert torch.equal(first, draw(1, 2, "a"))
    for other in (draw(2, 2, "a"), draw(1, 3, "a"), draw(1, 2, "b"), draw(1, 2, "a", 1)):
        assert 0.45 < float((first == other).double().mean()) < 0.55


def test_what_is_kept_is_scaled_and_eval_changes_nothing() -> None:
    dropout = KeyedDropout(0.75, key=0, layer="x")
    x = torch.ones(200, 200)
    assert set(dropout(x).unique().tolist()) == {0.0, 4.0}
    assert abs(float(dropout(x).mean()) - 1) < 0.05
    assert torch.equal(dropout.eval()(x), x)
    assert torch.equal(KeyedDropout(0.0, key=0, layer="x")(x), x)


def test_rate_one_drops_all_and_makes_no_nan() -> None:
    factors = dropout_factors(torch.tensor([3]), torch.Size((1000,)), torch.tensor([1.0]).double(), torch.float32)
    assert factors.unique().tolist() == [0.0]


def test_the_global_generator_is_left_alone() -> None:
    model = mlp(4, 2, hidden=(16,), dropout=0.5, seed=0)
    use_keyed_dropout(model, 1)
    before = torch.get_rng_state()
    model(torch.ones(3, 4))
    assert torch.equal(before, torch.get_rng_state())


def test_names_weights_and_modes_stay() -> None:
    model = lstm(3, 2, hidden=4, layers=3, dropout=0.4, seed=0)
    model.dropout.eval()
    before = copy.deepcopy(model.state_dict())
    use_keyed_dropout(model, 9)
    assert list(model.state_dict()) == list(before)
    assert isinstance(model.encoder, KeyedLSTM)
    assert isinstance(model.dropout, KeyedDropout)
    assert not model.dropout.training
    assert model.encoder.between[0].training
    model.eval()
    assert not model.encoder.between[0].training


def test_without_dropout_the_keyed_lstm_equals_torchs() -> None:
    for bidirectional in (False, True):
        layer = nn.LSTM(3, 4, 3, batch_first=True, bidirectional=bidirectional, dropout=0.4).double().eval()
        x = torch.randn(5, 6, 3, dtype=torch.float64)
        expected, (hidden, cell) = layer(x)
        keyed = nn.ModuleList([copy.deepcopy(layer)])
        use_keyed_dropout(keyed, 1)
        output, (own_hidden, own_cell) = keyed[0](x)
        for a, b in ((output, expected), (own_hidden, hidden), (own_cell, cell)):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_dropout_of_an_lstm_is_between_its_layers() -> None:
    model = nn.ModuleList([nn.LSTM(3, 4, 2, batch_first=True, dropout=0.5)])
    use_keyed_dropout(model, 1)
    x = torch.randn(5, 6, 3)
    set_step(model, 0)
    first = model[0](x)
    set_step(model, 0)
    assert torch.equal(first[0], model[0](x)[0])
    set_step(model, 1)
    other = model[0](x)
    assert not torch.equal(first[0], other[0])
    assert torch.equal(first[1][0][0], other[1][0][0])  # the first layer's end comes before it


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout2d(0.1), nn.AlphaDropout(), nn.RReLU(), nn.GRU(2, 2, 2, dropout=0.1), nn.RNN(2, 2, 2, dropout=0.1)],
)
def test_randomness_that_cannot_be_keyed_is_refused_and_nothing_is_changed(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Dropout(0.5), layer)
    with pytest.raises(CannotStackError, match=r"1: .*cannot be keyed"):
        use_keyed_dropout(model, 0)
    assert type(model[0]) is nn.Dropout


def test_keying_again_gives_another_key() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    use_keyed_dropout(model, 1)
    use_keyed_dropout(model, 2)
    assert model[0].key == 2
