"""`step.checkpoint-aliased`: a state without a copy, restored or saved later; not one used at once, nor a real copy."""

import copy
import io
from typing import Literal

import torch
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.checkpoint-aliased"


def train(keep: Literal["reference", "shallow", "deep"], use: Literal["load", "save", "at once"]) -> None:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    best: dict[str, object] = {}
    for step in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if step == 2:
            best = model.state_dict()
            best = copy.deepcopy(best) if keep == "deep" else dict(best) if keep == "shallow" else best
            if use == "at once":
                torch.save(best, io.BytesIO())
    if use == "load":
        model.load_state_dict(best)
    elif use == "save":
        torch.save({"model": best}, io.BytesIO())


def test_restored_or_saved_later() -> None:
    for keep, use in (("reference", "load"), ("shallow", "load"), ("reference", "save")):
        [finding] = found(lambda keep=keep, use=use: train(keep, use), CODE)
        assert finding.severity == "error"
        assert source(finding) == "best = model.state_dict()"


def test_copies_and_use_at_once_are_quiet() -> None:
    assert not found(lambda: train("deep", "load"), CODE)
    assert not found(lambda: train("reference", "at once"), CODE)
