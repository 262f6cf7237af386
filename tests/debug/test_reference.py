from __future__ import annotations

import inspect
import re

import pytest

from mlkit.debug.rules import load
from tests.findings_page import PAGE, page

# The catalogue: a code never changes its meaning, and each has a rule; those without one are named, with the reason.
CODES = [
    "loss.probabilities-into-cross-entropy",
    "loss.sigmoid-before-bce-with-logits",
    "loss.wrong-space-into-nll",
    "loss.wrong-space-into-kl",
    "loss.broadcast",
    "loss.reduction-scale",
    "loss.mismatched-task",
    "loss.single-unit-softmax",
    "loss.wrong-sign",
    "loss.padding-counted",
    "loss.label-shift",
    "loss.target-scale",
    "loss.target-domain",
    "loss.class-weight-order",
    "loss.unreachable-target",
    "loss.starts-far-from-chance",
    "shape.layout-scrambled",
    "shape.samples-mixed",
    "shape.batch-first",
    "shape.softmax-axis",
    "shape.constant-attention",
    "shape.mismatch",
    "metric.wrong",
    "data.unscaled-input",
    "data.label-support",
    "data.split-preprocessing",
    "data.normalised-twice",
    "data.integer-wraparound",
    "data.inputs-labels-unpaired",
    "data.class-order",
    "data.not-shuffled",
    "data.split-overlap",
    "data.scaler-leak",
    "data.augmented-validation",
    "data.augmentation-lost",
    "data.repeated-randomness",
    "data.mutated-in-place",
    "data.non-finite",
    "data.constant-feature",
    "data.imbalance",
    "step.gradients-not-cleared",
    "step.gradients-cleared-too-soon",
    "step.parameter-not-optimised",
    "step.unregistered-parameter",
    "step.frozen-parameter-optimised",
    "step.freeze-ineffective",
    "step.graph-cut",
    "step.learning-rate-too-high",
    "step.learning-rate-too-low",
    "step.oscillating",
    "step.schedule-mistimed",
    "step.accumulation-unscaled",
    "step.clipping-ineffective",
    "step.regularisation-dominates",
    "step.optimiser-recreated",
    "step.checkpoint-aliased",
    "step.checkpoint-not-loaded",
    "step.update-lost",
    "step.tied-weights-apart",
    "mode.training-in-eval",
    "mode.evaluating-in-train",
    "mode.dropout-always-on",
    "mode.batchnorm-tiny-batch",
    "mode.frozen-statistics-drift",
    "mode.dropout-too-high",
    "mode.sticky",
    "numeric.non-finite-gradient",
    "numeric.non-finite-loss",
    "numeric.half-precision-range",
    "numeric.exploding-gradient",
    "memory.out-of-memory",
    "model.no-nonlinearity",
    "model.symmetric-init",
    "model.init-too-large",
    "model.dead-units",
    "model.vanishing-gradient",
    "model.future-leak",
    "model.padding-dependence",
    "model.state-leak",
    "model.too-small",
    "model.ignores-input",
    "model.unused-module",
]
MISSING = {
    "data.harmful-augmentation": "heavy but harmless augmentation could not be told from it by what a script shows"
}


def test_every_code_of_the_catalogue_has_a_rule_and_no_rule_another_code() -> None:
    assert {code for rule in load() for code in rule.codes} == set(CODES)
    assert not set(MISSING) & set(CODES)


@pytest.mark.parametrize("rule", load(), ids=lambda rule: ",".join(rule.codes))
def test_a_reference_page_says_what_and_shows_buggy_and_fixed(rule) -> None:  # type: ignore[no-untyped-def]
    text = inspect.cleandoc(rule.page)
    first = text.splitlines()[0]
    assert first.endswith(".")
    assert len(text) > 300
    assert re.search(r"Buggy", text)
    assert re.search(r"Fixed", text)


def test_the_page_is_the_one_that_the_rules_make() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.findings_page"
