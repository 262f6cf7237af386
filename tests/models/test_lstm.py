from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mlkit.errors import ConfigError, ModelError
from mlkit.models import lstm
from mlkit.models.lstm import LSTM, BidirectionalLSTM, Pooling

LENGTHS = torch.tensor([9, 1, 5, 8])
CHANNELS, HIDDEN, STEPS = 3, 6, 9


def series() -> Tensor:
    return torch.randn(4, STEPS, CHANNELS, generator=torch.Generator().manual_seed(0))


def build(**options: object) -> LSTM:
    """A model whose head is large enough for differences to show."""
    model = lstm(CHANNELS, 5, hidden=HIDDEN, seed=0, **options)  # type: ignore[arg-type]
    nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(1))
    return model.eval()


def torchs_own(model: LSTM, *, bidirectional: bool, layers: int) -> nn.LSTM:
    """A `torch.nn.LSTM` with the weights of ``model``; it is run on packed sequences, an independent implementation."""
    reference = nn.LSTM(CHANNELS, HIDDEN, layers, batch_first=True, bidirectional=bidirectional)
    encoder = model.encoder
    if not isinstance(encoder, BidirectionalLSTM):
        reference.load_state_dict(encoder.state_dict())
        return reference
    state = {}
    for layer in range(layers):
        for directions, suffix in ((encoder.forwards, ""), (encoder.backwards, "_reverse")):
            for name, tensor in directions[layer].state_dict().items():
                state[name.replace("l0", f"l{layer}") + suffix] = tensor
    reference.load_state_dict(state)
    return reference


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("padded", [False, True])
def test_equals_torch_on_packed_sequences(layers: int, bidirectional: bool, pooling: Pooling, padded: bool) -> None:
    model, x = build(layers=layers, bidirectional=bidirectional, pooling=pooling), series()
    lengths = LENGTHS if padded else torch.full((4,), STEPS)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    steps, (state, _) = torchs_own(model, bidirectional=bidirectional, layers=layers)(packed)
    if pooling == "last":
        features = torch.cat([state[-2], state[-1]], dim=1) if bidirectional else state[-1]
    else:
        features = pad_packed_sequence(steps, batch_first=True)[0].sum(1) / lengths[:, None]
    expected = model.head(features)
    torch.testing.assert_close(model(x, lengths), expected)
    if not padded:
        torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("padding", [0.0, 1e4, float("nan"), float("inf")])
def test_padding_changes_nothing(bidirectional: bool, pooling: Pooling, padding: float) -> None:
    model, x = build(layers=2, bidirectional=bidirectional, pooling=pooling), series()
    alone = torch.cat([model(x[k : k + 1, :n]) for k, n in enumerate(LENGTHS.tolist())])
    for k, n in enumerate(LENGTHS.tolist()):
        x[k, n:] = padding
    output = model(x, LENGTHS)
    torch.testing.assert_close(output, alone)
    longer = torch.cat([x, torch.full((4, 7, CHANNELS), padding)], dim=1)
    torch.testing.assert_close(model(longer, LENGTHS), alone)
    output.square().sum().backward()
    gradients = [p.grad for p in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_gradients_do_not_reach_padding(bidirectional: bool, pooling: Pooling) -> None:
    model, x = build(layers=2, bidirectional=bidirectional, pooling=pooling), series().requires_grad_()
    model(x, LENGTHS).square().sum().backward()
    valid = torch.arange(STEPS) < LENGTHS[:, None]
    assert x.grad is not None
    assert not x.grad[~valid].any()
    assert x.grad[valid].abs().sum(-1).all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_example_does_not_see_its_neighbours(bidirectional: bool) -> None:
    model, x = build(bidirectional=bidirectional), series()
    other = x.clone()
    other[1:] = torch.randn(3, STEPS, CHANNELS)
    torch.testing.assert_close(model(x, LENGTHS)[0], model(other, torch.tensor([9, 9, 2, 4]))[0])


def test_bidirectional_last_has_read_everything_in_both_directions() -> None:
    model = build(bidirectional=True)
    head = torch.eye(2 * HIDDEN)
    model.head = nn.Linear(2 * HIDDEN, 2 * HIDDEN, bias=False)
    model.head.weight = nn.Parameter(head)
    for changed in (0, 4):  # the first step, and the last valid one of the third example
        x, lengths = series()[2:3].requires_grad_(), LENGTHS[2:3]
        forward, backward = model(x, lengths).chunk(2, dim=1)
        for half in (forward, backward):
            (gradient,) = torch.autograd.grad(half.sum(), x, retain_graph=True)
            assert gradient[0, changed].any()


def test_lengths_are_kept_within_the_batch() -> None:
    model, x = build(), series()
    torch.testing.assert_close(model(x, torch.tensor([99, 9, 9, 9])), model(x))
    assert model(x, torch.tensor([0, 1, 9, 9])).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_tokens_are_embedded(dtype: torch.dtype) -> None:
    model = lstm(None, 4, vocab_size=11, embedding_dim=7, hidden=5, seed=0).eval()
    assert model.embedding is not None
    assert (model.embedding.num_embeddings, model.embedding.embedding_dim) == (11, 7)
    tokens = torch.randint(0, 11, (3, 6)).to(dtype)
    lengths = torch.tensor([6, 2, 4])
    padded = tokens.clone()
    padded[1, 2:], padded[2, 4:] = 10, 9
    expected = torch.cat([model(tokens[k : k + 1, :n]) for k, n in enumerate(lengths.tolist())])
    torch.testing.assert_close(model(padded, lengths), expected)


def test_padding_tokens_may_be_out_of_the_vocabulary() -> None:
    model = lstm(None, 4, vocab_size=11, hidden=5, seed=0)
    tokens = torch.tensor([[3, 4, -1, -1], [1, 2, 3, 4]])
    assert model(tokens, torch.tensor([2, 4])).isfinite().all()


def test_padding_tokens_teach_the_embedding_nothing() -> None:
    model = lstm(None, 4, vocab_size=11, hidden=5, seed=0)
    assert model.embedding is not None
    nn.init.normal_(model.head.weight)
    model(torch.tensor([[3, 4, 0, 0]]), torch.tensor([2])).square().sum().backward()
    gradient = model.embedding.weight.grad
    assert gradient is not None
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == [3, 4]


def test_the_embedding_is_as_wide_as_the_hidden_layer_by_default() -> None:
    model = lstm(None, 4, vocab_size=11, hidden=5)
    assert model.embedding is not None
    assert model.embedding.embedding_dim == 5


@pytest.mark.parametrize("layers", [1, 2])
def test_next_token_is_causal(layers: int) -> None:
    model = lstm(None, 13, vocab_size=13, kind="next_token", hidden=8, layers=layers, seed=0).eval()
    tokens = torch.randint(0, 13, (2, 10))
    logits = model(tokens)
    assert logits.shape == (2, 10, 13)
    for step in range(10):
        later = tokens.clone()
        later[:, step] = (later[:, step] + 1) % 13
        changed = (model(later) != logits).any(-1).any(0)
        assert not changed[:step].any()
        assert changed[step]


def test_next_token_ignores_padding() -> None:
    model = lstm(None, 13, vocab_size=13, kind="next_token", hidden=8, seed=0)
    tokens = torch.randint(0, 13, (2, 10))
    torch.testing.assert_close(model(tokens, torch.tensor([10, 4]))[1, :4], model(tokens[1:, :4])[0])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_parameters_are_those_of_the_closed_form(layers: int, bidirectional: bool) -> None:
    model = lstm(12, 9, hidden=32, layers=layers, bidirectional=bidirectional)
    directions = 1 + bidirectional
    inputs = [12] + [32 * directions] * (layers - 1)
    expected = directions * sum(4 * 32 * (n + 32 + 2) for n in inputs) + (32 * directions + 1) * 9
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("bidirectional", [False, True])
def test_initialisation(bidirectional: bool) -> None:
    model = lstm(100, 9, hidden=80, bidirectional=bidirectional, seed=0)
    for name, parameter in model.encoder.named_parameters():
        if "weight_ih" in name:
            assert parameter.var().item() == pytest.approx(2 / 180, rel=0.05)
        elif "weight_hh" in name:
            gate = parameter.detach()[:80]
            torch.testing.assert_close(gate @ gate.T, torch.eye(80), atol=1e-5, rtol=0)
        else:
            assert parameter.sum().item() == (80 if "bias_ih" in name else 0)  # 1 at each forget gate
    assert model.head.weight.std().item() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_dropout_stays_off_the_recurrence(bidirectional: bool) -> None:
    model = build(layers=2, dropout=0.5, bidirectional=bidirectional)
    x = series()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    first: list[Tensor] = []
    if isinstance(model.encoder, BidirectionalLSTM):
        model.encoder.forwards[0].register_forward_hook(lambda _module, _args, output: first.append(output[0]))
        model(x)
        model(x)
        assert torch.equal(first[0], first[1])  # the first layer sees no dropout at all


def test_seeds() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = (lstm(3, 2, layers=2, bidirectional=True, seed=3) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.head.weight, lstm(3, 2, layers=2, bidirectional=True, seed=4).head.weight)


@pytest.mark.parametrize(
    ("model", "x", "allowed"),
    [
        (lstm(3, 2), torch.zeros(2, 5, 4), "(N, T, 3) values"),
        (lstm(3, 2), torch.zeros(2, 3), "(N, T, 3) values"),
        (lstm(None, 2, vocab_size=4), torch.zeros(2, 5), "(N, T) token indices"),
        (lstm(None, 2, vocab_size=4), torch.zeros(2, 5, 1, dtype=torch.long), "(N, T) token indices"),
    ],
)
def test_other_batches_are_refused(model: LSTM, x: Tensor, allowed: str) -> None:
    with pytest.raises(ModelError) as caught:
        model(x)
    (problem,) = caught.value.problems
    assert problem.allowed == allowed
    assert problem.received == f"{tuple(x.shape)} {x.dtype}"


def test_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        lstm(0, 0, hidden=0, layers=0, dropout=1, pooling="max", kind="classify")  # type: ignore[arg-type]
    assert len(caught.value.problems) == 7
    with pytest.raises(ConfigError) as caught:
        lstm(None, 5, vocab_size=5, kind="next_token", bidirectional=True, pooling="mean", embedding_dim=0)
    assert [problem.what for problem in caught.value.problems] == [
        "'embedding_dim' is not a usable number",
        "a bidirectional LSTM sees the token that it should predict",
        "the next token is answered at every step, so there is nothing to pool",
    ]
    with pytest.raises(ConfigError, match="values and tokens at once\n  received: input_size=3, vocab_size=5"):
        lstm(3, 2, vocab_size=5)
    with pytest.raises(ConfigError, match="an embedding of values"):
        lstm(3, 2, embedding_dim=4)
    with pytest.raises(ConfigError, match=r"'input_size' is not a usable number\n  received: None"):
        lstm(None, 2)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_remembers_the_first_step_of_series_of_many_lengths(bidirectional: bool) -> None:
    # The class is the sign of the first value; all that follows is noise, and padding is large.
    generator = torch.Generator().manual_seed(0)

    def batch(count: int) -> tuple[Tensor, Tensor, Tensor]:
        x = torch.randn(count, 20, 1, generator=generator)
        lengths = torch.randint(5, 21, (count,), generator=generator)
        y = (x[:, 0, 0] > 0).long()
        x[:, 0, 0] += torch.where(y == 1, 1.0, -1.0)
        x.masked_fill_((torch.arange(20) >= lengths[:, None])[..., None], 100.0)
        return x, lengths, y

    model = lstm(1, 2, hidden=32, bidirectional=bidirectional, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        x, lengths, y = batch(64)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x, lengths), y).backward()
        optimizer.step()
    x, lengths, y = batch(500)
    assert (model(x, lengths).argmax(1) == y).float().mean().item() > 0.97


def test_regression_adds_up_a_series() -> None:
    generator = torch.Generator().manual_seed(0)
    model = lstm(1, 1, hidden=32, kind="regression", seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(250):
        x = torch.rand(64, 8, 1, generator=generator) - 0.5
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), x.sum(1))
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02 * 8 / 12  # the variance of a sum of 8 uniform numbers


def test_next_token_learns_to_copy_what_came_before() -> None:
    # Each text repeats its first three tokens; from the fourth on, everything is known.
    generator = torch.Generator().manual_seed(0)
    model = lstm(None, 8, vocab_size=8, kind="next_token", hidden=64, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(250):
        text = torch.randint(0, 8, (64, 3), generator=generator).repeat(1, 4)
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(model(text[:, :-1]).transpose(1, 2), text[:, 1:], reduction="none")
        losses.mean().backward()
        optimizer.step()
    by_step = losses.detach().mean(0)
    assert by_step[2:].max().item() < 0.1
    assert by_step[:2].min().item() > 0.9 * math.log(8)  # and what cannot be known is not
