"""The pre-flight of a run: a few steps under the doctor on copies, before anything is trained.

Not here: what the doctor looks at (`mlkit.debug`).
"""

from __future__ import annotations

import itertools
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from mlkit.data.batches import Batches
from mlkit.debug.check import STEPS, check
from mlkit.debug.findings import Finding
from mlkit.errors import PreflightError, Problem

LEFT_TO_THE_RUN = "numeric."  # which stops at the step, says its learning rate and layer, and keeps what was trained
UNEXPLAINED = 0.5  # confidence of a step that failed and was not understood (`mlkit.debug.check`)
SECONDS = 1.0  # of processor time for the experiments; with the steps and the imports the whole stays under two


def preflight(
    model: nn.Module,
    batches: Batches,
    *,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    stops: bool,
) -> None:
    """Try a few steps in a copy of this process; nothing that is given is changed.

    Args:
        model: on a CPU, since a process that uses a GPU cannot be copied.
        batches: the run's own.
        loss_fn: the run's.
        optimizer: the run's.
        stops: whether an error ends the run; else it is a warning, as everything less certain is.

    Raises:
        PreflightError: the doctor has proven an error.
    """
    first = list(itertools.islice(batches.epoch(0), STEPS))
    report = check(model, first, loss_fn=loss_fn, optimizer=optimizer, seconds=SECONDS)
    found = [_without_caller(finding) for finding in report.findings if not _is_for_the_run(finding)]
    errors = [finding for finding in found if finding.severity == "error"]
    if errors and stops:
        raise PreflightError([_problem(finding) for finding in errors])
    for finding in found:
        if finding.severity != "info":
            warnings.warn(f"pre-flight: {_in_words(finding)}", stacklevel=2)


def _is_for_the_run(finding: Finding) -> bool:
    """Whether the run says it better: what is not finite, and a step that fails and is not understood."""
    return finding.code.startswith(LEFT_TO_THE_RUN) or finding.confidence <= UNEXPLAINED


def _without_caller(finding: Finding) -> Finding:
    """Without a place that is only where the run was started, as it is when all of the loop is ours."""
    started = {(frame.filename, frame.lineno) for frame in traceback.extract_stack()}
    outside = finding.site is not None and (finding.site.file, finding.site.line) in started
    return replace(finding, site=None) if outside else finding


def _problem(finding: Finding) -> Problem:
    return Problem(
        _in_words(finding),
        todo=f"{finding.fix or 'see the reference'}\n"
        f"            python -m mlkit.watch --explain {finding.code}; trainer.preflight=warn trains in spite of it",
    )


def _in_words(finding: Finding) -> str:
    where = "" if finding.site is None else f"{finding.site.file}:{finding.site.line}: "
    return f"{where}{finding.message} [{finding.code}]"
