from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

import mlkit
from mlkit.debug.overfit import overfit_batch
from mlkit.models import lenet, lstm, mlp, resnet20
from tests.debug.overfit.planted import planted, told


@pytest.mark.slow
def test_planted_bugs_get_their_symptom_and_their_smallest_cure() -> None:
    wrong, bugs = [], planted(0)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(told, bugs))
    for name, symptom, cure in found:
        bug = bugs[name]
        is_right = cure is None if not bug.cures else cure is not None and cure.startswith(bug.cures)
        if symptom not in bug.symptoms or not is_right:
            wrong.append((name, symptom, cure))
    # The goals: 95 % of the symptoms, 80 % of the cures; all but one of nineteen is above both.
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("seed", range(3))
def test_symptoms_are_the_same_with_other_data_and_weights(seed: int) -> None:
    wrong = {}
    for name, bug in planted(seed + 1).items():
        symptom = overfit_batch(*bug[:4]).symptom
        if symptom not in bug.symptoms:
            wrong[name] = symptom
    assert len(wrong) <= 1, wrong


HEALTHY = {
    "mlp on wine": ("wine", lambda task: mlp(13, 3, seed=0)),
    "mlp on digits": ("digits", lambda task: mlp(64, 10, seed=0)),
    "lenet on digits": ("digits", lambda task: lenet(10, image_size=8, seed=0)),
    "resnet on digits": ("digits", lambda task: resnet20(10, in_channels=1, seed=0)),
    "mlp on diabetes": ("diabetes", lambda task: mlp(10, 1, seed=0)),
    "mlp on spirals": ("spirals", lambda task: mlp(2, task.num_outputs, seed=0)),
    "lstm on the adding problem": ("adding", lambda task: lstm(2, 1, kind="regression", hidden=32, seed=0)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_baselines_fit_their_batch(name: str) -> None:
    data, make = HEALTHY[name]
    bundle = mlkit.data.load(data)
    model = make(bundle.task)
    report = overfit_batch(model, bundle, optimizer=lambda m: torch.optim.Adam(m.parameters(), 3e-3), steps=600)
    assert report.is_fine, str(report)
