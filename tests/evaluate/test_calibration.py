from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import ConfigError, ModelError
from mlkit.evaluate.calibration import calibration


def binary(seed: int, n: int, *, sharpen: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of calibrated probabilities, multiplied by ``sharpen``: the temperature that mends them is ``sharpen``."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(scale=1.5, size=n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    return np.stack([np.zeros(n), sharpen * logit], 1), labels


def true_error(sharpen: float) -> float:
    """Mean of |confidence - accuracy| over the rows, by quadrature over the logits."""
    z = np.linspace(-12, 12, 200_001)
    weight = np.exp(-((z / 1.5) ** 2) / 2)
    said = 1 / (1 + np.exp(-sharpen * np.abs(z)))
    truth = 1 / (1 + np.exp(-np.abs(z)))
    return float((np.abs(said - truth) * weight).sum() / weight.sum())


def test_false_alarms_of_a_calibrated_model_are_one_in_twenty() -> None:
    alarms = sum(calibration(*binary(seed, 400), outputs="logits", seed=seed).p_value <= 0.05 for seed in range(100))
    assert alarms <= 11  # P(more than 11 of 100 at 5 %) = 0.004


def test_the_debiased_error_is_nearer_the_truth_than_the_plain_one() -> None:
    truth = true_error(2.0)
    found = [calibration(*binary(1000 + k, 600, sharpen=2.0), outputs="logits", seed=k) for k in range(100)]
    plain = np.mean([one.plain for one in found])
    debiased = np.mean([one.error.value for one in found])
    assert abs(debiased - truth) < abs(plain - truth)
    assert debiased == pytest.approx(truth, abs=0.007)
    covered = [one.error.low <= truth <= one.error.high for one in found]
    assert np.mean(covered) >= 0.88  # measured over 200 sets: 0.96, 0.94 and 0.97 at 300, 1,000 and 3,000 rows
    assert all(one.error.resolved for one in found)


def test_of_a_calibrated_model_the_debiased_error_is_much_smaller() -> None:
    found = [calibration(*binary(seed, 500), outputs="logits", seed=seed) for seed in range(20)]
    assert np.mean([one.error.value for one in found]) < 0.6 * np.mean([one.plain for one in found])


@pytest.mark.parametrize("sharpen", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_of_the_logits(sharpen: float) -> None:
    found = [calibration(*binary(seed, 1500, sharpen=sharpen), outputs="logits").temperature for seed in range(20)]
    covered = sum(one.low <= sharpen <= one.high for one in found)
    assert covered >= 17
    assert np.mean([one.value for one in found]) == pytest.approx(sharpen, rel=0.05)
    assert sum(one.resolved for one in found) >= 19 if sharpen != 1 else sum(one.resolved for one in found) <= 3


def test_the_temperature_is_the_minimum() -> None:
    logits, labels = binary(0, 300, sharpen=2.0)
    found = calibration(logits, labels, outputs="logits")

    def nll(temperature: float) -> float:
        scaled = logits / temperature
        return float((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(300), labels]).mean())

    best = min(nll(t) for t in np.linspace(0.5, 5, 4001))
    assert found.after == pytest.approx(best, abs=1e-6)
    assert found.before == pytest.approx(nll(1.0))


def test_bins_hold_every_row_once() -> None:
    found = calibration(*binary(1, 137), outputs="logits")
    assert sum(one.count for one in found.bins) == 137
    assert all(one.count >= 10 for one in found.bins)
    mean = sum(one.count * (one.confidence - one.accuracy) for one in found.bins) / 137
    assert found.confidence_gap.value == pytest.approx(mean)


def test_verdict_and_form() -> None:
    found = calibration(*binary(2, 2000, sharpen=3.0), outputs="logits")
    assert "too sure" in found.verdict()
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.to_dict()["temperature"]["value"] == found.temperature.value
    assert found.figure(theme="dark").axes
    assert "not sure enough" in calibration(*binary(2, 2000, sharpen=0.4), outputs="logits").verdict()
    assert "no miscalibration" in calibration(*binary(2, 200), outputs="logits").verdict()


def test_bad_input_is_refused() -> None:
    logits, labels = binary(0, 50)
    with pytest.raises(ConfigError, match="too few bins"):
        calibration(logits, labels, outputs="logits", bins=0)
    with pytest.raises(ModelError, match="cannot be probabilities"):
        calibration(logits, labels)
