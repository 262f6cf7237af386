from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

import mlkit.evaluate as ev
from mlkit.evaluate import cross_entropy
from mlkit.evaluate.cross_entropy import gap, gap_of_two, log_sum_exp, moves_of
from tests.evaluate.worlds import assert_close, histogram, smoothed_terms


@pytest.mark.parametrize(
    ("eta", "labels", "expected"),
    [(0.7, 5, (0.610864, 0.004124, 0.052663, 0.667652)), (0.6, 11, (0.673012, 0.000168, 0.035995, 0.709175))],
)
def test_c10_smoothed_histogram(eta: float, labels: int, expected: tuple[float, ...]) -> None:
    exact = smoothed_terms(eta, labels)
    assert tuple(exact.values()) == pytest.approx(expected, abs=1e-6)
    assert exact["noise"] + exact["bias"] + exact["variance"] == pytest.approx(exact["total"], abs=1e-12)
    rng = np.random.default_rng(10)
    rows = 100
    found: dict[str, list[float]] = {}
    for _ in range(60):
        table = (rng.binomial(labels, eta, size=(16, rows)) + 1) / (labels + 2)
        result = ev.decompose_predictions(
            table,
            np.ones(rows, dtype=int),
            outputs="probabilities",
            soft_labels=np.tile([1 - eta, eta], (rows, 1)),
        )
        for term in result.terms:
            found.setdefault(term.name, []).append(term.value)
        found.setdefault("total", []).append(result.total.value)
    for name, truth in exact.items():
        if name == "noise":
            assert found[name] == pytest.approx([truth] * 60, abs=1e-12)
        else:
            assert_close(found[name], truth)


def test_c10_every_training_set_enumerated() -> None:
    # 0.7 and 5 labels: 100,000 equally likely models, the whole population.
    eta, labels = 0.7, 5
    from scipy.stats import binom

    weights = np.rint(binom.pmf(np.arange(6), labels, eta) * 10**5).astype(int)
    q = np.repeat((np.arange(6) + 1) / 7, weights)
    logs = np.log(np.stack([1 - q, q], 1))[:, None]
    exact = smoothed_terms(eta, labels)
    assert gap(logs)[0] == pytest.approx(exact["variance"], abs=1e-12)
    main = softmax(logs.mean(0)[0])
    divergence = rel_entr([1 - eta, eta], main).sum()
    assert exact["noise"] + divergence + gap(logs)[0] == pytest.approx(exact["total"], abs=1e-12)


@pytest.mark.parametrize("m", [0.5, -2.0])
def test_c11_a_logit_of_two_values(m: float) -> None:
    s = 2.0
    plus = np.logaddexp(0, [m - s, m + s])
    truth = plus.mean() - np.logaddexp(0, m)
    logits = np.array([[[0.0, m - s]], [[0.0, m + s]]])
    assert gap(logits)[0] == pytest.approx(truth, abs=1e-12)
    assert m != 0.5 or truth == pytest.approx(0.416075, abs=1e-6)
    rng = np.random.default_rng(11)
    values = []
    for _ in range(80):
        table = m + s * rng.choice([-1.0, 1.0], size=(32, 50))
        result = ev.decompose_predictions(table, np.ones(50, dtype=int))
        values.append(result.term("variance").value)
    assert_close(values, truth)


@pytest.mark.parametrize(("classes", "models"), [(2, 2), (3, 7), (10, 40)])
def test_c12_the_gap_is_the_mean_divergence_from_the_main_prediction(classes: int, models: int) -> None:
    logits = np.random.default_rng(classes).normal(size=(models, 6, classes)) * 3
    p, main = softmax(logits, -1), softmax(logits.mean(0), -1)
    expected = rel_entr(main, p).sum(-1).mean(0)
    assert gap(logits) == pytest.approx(expected, abs=1e-12)
    assert gap(logits + 5.0) == pytest.approx(expected, abs=1e-12)
    assert gap(log_softmax(logits, -1)) == pytest.approx(expected, abs=1e-12)


def test_noise_bias_and_variance_sum_to_the_loss() -> None:
    rng = np.random.default_rng(3)
    logs, soft = log_softmax(rng.normal(size=(8, 5, 4)), -1), rng.dirichlet(np.ones(4), size=5)
    classes = np.zeros(5, dtype=np.int64)
    bias = rel_entr(soft, softmax(logs.mean(0), -1)).sum(-1)
    loss = cross_entropy.losses(logs, classes, soft).mean(0)
    assert cross_entropy.entropy(soft) + bias + gap(logs) == pytest.approx(loss, abs=1e-12)


@pytest.mark.parametrize(("models", "off"), [(2, 0.08), (4, 0.02), (8, 0.01), (16, 0.01)])
def test_few_models_with_normal_logits(models: int, off: float) -> None:
    """The plug-in is too small by about 1 / K; what is reported is off by so much of the truth at most."""
    rng = np.random.default_rng(models)
    # The main prediction of very many models is even: the variance is the mean of log-sum-exp, less that of zeros.
    truth = log_sum_exp(rng.normal(size=(2_000_000, 3))).mean() - np.log(3)
    table = rng.normal(size=(models, 40_000, 3))
    assert gap(table).mean() == pytest.approx(truth * (1 - 1 / models), rel=0.08)
    corrected = cross_entropy.model_terms(table, np.zeros(40_000, dtype=np.int64), soft=None, noise=None)
    assert corrected.variance.mean() == pytest.approx(truth, rel=off)


def test_moves_have_the_variance_as_half_their_square() -> None:
    logs = log_softmax(np.random.default_rng(4).normal(size=(2, 9, 5)) * 4, -1)
    moves = moves_of(logs[0], logs[1])
    assert 0.5 * np.square(moves).sum(-1) == pytest.approx(gap_of_two(logs[0], logs[1]), abs=1e-12)
    assert moves == pytest.approx(-moves_of(logs[1], logs[0]), abs=1e-12)
    assert not moves_of(logs[0], logs[0]).any()


def test_models_of_one_training_set_must_not_be_jackknifed() -> None:
    # What halves share makes all of them alike: taken for independent, their variance is about half the truth.
    rng = np.random.default_rng(5)
    cells, truth = 40, smoothed_terms(0.7, 5)["variance"]
    pairs, naive = [], []
    for number in range(40):
        cell = np.repeat(np.arange(cells), 10)
        y = (rng.random(len(cell)) < 0.7).astype(int)
        found = ev.decompose(
            histogram(cells),
            (cell[:, None], y),
            test=(np.arange(cells)[:, None], np.ones(cells, dtype=int)),
            outputs="probabilities",
            strata=cell,
            size=(8, 1),
            seed=number,
        )
        pairs.append(found.term("variance").value)
        models = np.exp(found.table).reshape(16, cells, 2)
        flat = ev.decompose_predictions(models, np.ones(cells, dtype=int), outputs="probabilities")
        naive.append(flat.term("variance").value)
    # Doubling two models is exact to first order only: 0.3 % here.
    assert_close(pairs, truth)
    assert np.mean(naive) / truth == pytest.approx(0.53, abs=0.05)
