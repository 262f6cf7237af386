"""``trainer.speed=auto``: time a few real steps and choose threads, layout, precision and, on a GPU, compilation.

Not here: what a setting is and how it is put into effect (`mlkit.engine.speed_settings`, whose names are offered here
too), and how a candidate is timed (`mlkit.engine.speed_trial`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median

import torch
from torch import nn

from mlkit.data.splits import Batch
from mlkit.engine.speed_settings import Speed, applied, forward_of, in_threads, off, prepare_model
from mlkit.engine.speed_threads import stalls, time_threads
from mlkit.engine.speed_trial import FirstSteps, LossFunction, MakeOptimizer, Trial, Work
from mlkit.runtime import rng
from mlkit.runtime.allocator import keep_freed_memory
from mlkit.runtime.hardware import has_bfloat16_hardware
from mlkit.runtime.precision import Precision
from mlkit.runtime.threads import available_cores

__all__ = ["Speed", "applied", "choose_speed", "forward_of", "off", "prepare_model"]

_MOST_SECONDS = 2.0
_MOST_STEPS = 12  # where so many take longer than that
_SHARE_OF_RUN = 0.02
_SHORT_STEP = 1e-3  # a step shorter than this is mostly Python and kernel starts, which more threads do not help
_FEW_STEPS = 1000
_SHARE_OF_THREADS = 0.4  # of that time; the rest is for layout and precision
_ROUNDS = 5
_WORTH = 1.10  # what another layout, precision or compilation must gain; below this, noise would decide
_WORTH_LONG = 1.02  # of steps above 0.1 s, which vary less, where besides each of three pairs has to say so
_HOPELESS = 2.0  # a first step that is slower by this factor ends the attempt: busy cores can cost a factor of 70
_COMPILE_SECONDS = 20.0  # typical of a small network; it is paid in the probe and may be paid again in the run
_COMPILE_SHARE = 0.05
# Largest difference of a candidate's losses from those of float32, relative to the largest of these. Another order of
# summation changes a loss by 1e-6, bfloat16 that of sound networks by up to 2e-3.
_LOSS_TOLERANCE = {"float32": 1e-3, "bfloat16": 1e-2}
# The same for outputs, relative to their norm. A loss alone says little: at first cross-entropy is near ln(classes)
# whatever the outputs are. Bfloat16, with 8 bits (4e-3) in each product, gave 3e-3 to 2e-2 in MLPs, LSTMs, transformers
# and ResNets; another layout 4e-5 at most, and after an update, in which Adam takes the sign of tiny gradients, 2e-2.
_OUTPUT_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
_OUTPUT_TOLERANCE_UPDATED = 5e-2


def choose_speed(
    model: nn.Module,
    batch: Batch,
    *,
    loss_fn: LossFunction,
    make_optimizer: MakeOptimizer,
    device: torch.device,
    expected_steps: int | None,
    cores: int | None = None,
) -> Speed:
    """The fastest way to carry out training steps that gives the same losses, found one choice after another.

    Steps are forward, loss, backward and update on copies of the model; the model, its gradients, buffers and modes,
    the batch, the random generators and the number of threads are afterwards as before. Two copies exist at a time,
    each with gradients and an optimiser's state: with Adam they take eight times the memory of the weights. Hooks that
    the model carries are called in these steps, too.

    More threads must gain 10 %, of steps below a millisecond 50 %. Any other candidate is dropped when it gains less
    than 10 % (of steps above 0.1 s: 2 %, or nothing in one of three comparisons), when it fails, or when its first two
    steps, one before and one after an update, are off from those of float32 with the same weights and seeds: losses by
    more than 1 % (bfloat16) or 0.1 % (everything else), outputs by more than 5 % or 0.1 % (after the update 5 % in any
    case). Later steps are not compared: where a regression is to be solved to more than the two or three digits of
    bfloat16, take ``speed=off``.

    The search ends after 2 % of the expected run, at most 2 seconds or, of longer steps, a dozen; two first steps are
    always made, and what was begun is finished. A run too short for more gets PyTorch's own number of threads, or one
    where steps are below a millisecond. Compiling, on a GPU, takes longer and is tried only where the run is long
    enough to pay for it.

    Where a step on a CPU takes more than 0.1 s and the C library is glibc, the process keeps the memory that steps
    free; that is not measured, since it cannot be undone to compare, and changes no result.

    A measured choice may differ between two runs: for equal bits take ``speed=off``, or replay a recorded `Speed`.

    Args:
        model: the model, on ``device``.
        batch: a typical batch, on ``device``.
        loss_fn: ``loss_fn(outputs, targets)``, a scalar.
        make_optimizer: gives an optimiser for a model.
        device: where training takes place.
        expected_steps: steps of the run; None when not known, which counts as many, but not enough to compile for.
        cores: cores that may be used; all available ones when left out.

    Returns:
        The setting, whose ``reason`` is one line for people. When not even a plain step can be made, that of `off`:
        the run itself will then show the error where it belongs.

    >>> from torch.nn.functional import cross_entropy
    >>> speed = choose_speed(
    ...     nn.Linear(4, 2),
    ...     Batch((torch.randn(8, 4),), torch.randint(0, 2, (8,))),
    ...     loss_fn=cross_entropy,
    ...     make_optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    ...     device=torch.device("cpu"),
    ...     expected_steps=50,
    ... )
    >>> speed.channels_last, speed.compiled
    (False, False)
    """
    plain = off()
    if device.type not in ("cpu", "cuda"):
        return replace(plain, reason=f"speed: float32; nothing is measured on {device.type}")
    start = Speed(threads=1) if device.type == "cpu" else plain
    work = Work(model, batch, loss_fn, make_optimizer)
    with rng.preserved(), _gradients_aside(model), applied(start):
        try:
            search = _begin(work, start, expected_steps)
        except Exception as error:  # what a user's model may raise is open
            return replace(plain, reason=f"speed: not measured, since a trial step failed ({_named(error)})")
        if device.type == "cpu":
            _search_on_cpu(search, available_cores() if cores is None else cores, usual_threads=plain.threads)
        else:
            _search_on_gpu(search)
        return search.result()


@dataclass
class _Search:
    """How far the search has come.

    Args:
        work: what a step consists of.
        best: the trial of the best setting so far.
        reference: what the first steps gave in float32 with nothing rearranged.
        expected_steps: steps of the run.
    """

    work: Work
    best: Trial
    reference: FirstSteps
    expected_steps: int | None
    begin: float = 0.0
    budget: float = 0.0
    chosen: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def run_seconds(self) -> float | None:
        """How long the run would take as things stand."""
        return None if self.expected_steps is None else self.expected_steps * self.best.seconds

    def allow(self, seconds: float) -> None:
        """Start the clock: the search may take ``seconds`` from now on."""
        self.begin, self.budget = time.perf_counter(), seconds

    def has_time(self, *, share: float = 1.0) -> bool:
        """Whether one more step fits into ``share`` of the time allowed."""
        return time.perf_counter() - self.begin + self.best.wall < share * self.budget

    def note(self, name: str, seconds: float) -> None:
        self.timings[name] = seconds

    def result(self) -> Speed:
        late = [f"no time to try {' or '.join(self.untried)}"] if self.untried else []
        reason = "; ".join([", ".join(self.chosen), *self.refused, *late])
        return replace(self.best.speed, reason=f"speed: {reason}", timings=self.timings)


def _begin(work: Work, start: Speed, expected_steps: int | None) -> _Search:
    """Make the first plain steps and, from their time, start the clock."""
    trial = work.trial(start)
    search = _Search(work, trial, trial.first_steps(), expected_steps)
    expected = search.run_seconds
    most = max(_MOST_SECONDS, _MOST_STEPS * trial.seconds)
    search.allow(most if expected is None else min(most, _SHARE_OF_RUN * expected))
    search.note("start", trial.seconds)
    return search


def _search_on_cpu(search: _Search, cores: int, *, usual_threads: int) -> None:
    few = search.expected_steps is not None and search.expected_steps < _FEW_STEPS
    if few and search.best.seconds < _SHORT_STEP:
        search.chosen.append("1 thread: steps are too short for more")
        return
    if not search.has_time(share=_SHARE_OF_THREADS):
        count = 1 if usual_threads > 1 and stalls(usual_threads) else usual_threads
        search.best.use_threads(count, search.best.seconds)
        search.chosen.append(f"float32 with {in_threads(count)}: the run is too short to measure more")
        return
    keeps = search.best.is_long and keep_freed_memory()
    search.best.keep_memory(keeps)
    _choose_threads(search, cores)
    _try_bfloat16(search, "CPU")  # first, since where it helps it helps most, and time may be over after it
    _try_channels_last(search)
    if keeps:
        search.chosen.append("freed memory kept")


def _search_on_gpu(search: _Search) -> None:
    search.chosen.append("GPU")
    _try_bfloat16(search, "GPU")  # first, since it is bfloat16 kernels that profit from channels-last there
    _try_channels_last(search)
    expected = search.run_seconds
    if expected is None or _COMPILE_SHARE * expected < _COMPILE_SECONDS:
        search.refused.append("compiling would not pay in this run")
        return
    search.allow(_COMPILE_SHARE * expected)
    if not _try(search, "CUDA graphs", compiled=True, cuda_graph=True):
        _try(search, "compiled", compiled=True)


def _choose_threads(search: _Search, cores: int) -> None:
    found = time_threads(search.best, cores, has_time=lambda: search.has_time(share=_SHARE_OF_THREADS))
    for count, seconds in found.seconds.items():
        search.note(in_threads(count), seconds)
    search.chosen.append(found.explanation)
    search.best.use_threads(found.best, found.seconds[found.best])


def _try_channels_last(search: _Search) -> None:
    if any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in search.work.model.modules()):
        _try(search, "channels-last", channels_last=True)


def _try_bfloat16(search: _Search, place: str) -> None:
    if not has_bfloat16_hardware(search.work.batch.targets.device):
        search.refused.append(f"bfloat16 not in this {place}")
    elif any(parameter.dtype == torch.float32 for parameter in search.work.model.parameters()):
        _try(search, "bfloat16", precision="bfloat16")
    else:  # autocast leaves such a model as it is, and its output would be rounded to float32
        search.refused.append("bfloat16 is for float32 models")


def _try(search: _Search, name: str, **change: bool | str) -> bool:
    """Take the best setting with ``change`` where that is faster and its losses agree; say what came of it."""
    if not search.has_time():
        search.untried.append(name)
        return False
    speed = replace(search.best.speed, **change)  # type: ignore[arg-type]
    try:
        trial = search.work.trial(speed)
        objection = _objection(trial.first_steps(), search.reference, precision=speed.precision)
        if objection is not None:
            search.refused.append(f"{name} refused: {objection}")
            return False
        gain, least = _gain(search, trial)
    except Exception as error:  # a backend without a kernel, or without memory for one more copy
        search.refused.append(f"{name} failed ({_named(error)})")
        return False
    search.note(name, trial.seconds)
    if gain < _WORTH and not (trial.is_long and gain >= _WORTH_LONG and least > 1):
        search.refused.append(f"{name} only {gain:.2f}x")
        return False
    search.chosen.append(f"{name} {gain:.2f}x")
    search.best = trial
    return True


def _gain(search: _Search, trial: Trial) -> tuple[float, float]:
    """How many times faster ``trial`` is than the best so far: median and least over pairs of visits, taken in turn."""
    slowest = _HOPELESS * search.best.wall
    if trial.wall > slowest:  # twice, since one step may have been held up by something else
        trial.visit(count=1)
    if trial.wall > slowest:
        return search.best.wall / trial.wall, 0.0
    alone = trial.speed.threads == 1 and search.work.batch.targets.device.type == "cpu"
    ratios: list[float] = []
    fewest, most = (3, 3) if trial.is_long else (2, _ROUNDS)
    while len(ratios) < fewest or (len(ratios) < most and search.has_time()):
        before, after = search.best.visit(own=alone), trial.visit(own=alone)
        ratios.append(before / after)
    gain = median(ratios)
    trial.seconds = search.best.seconds / gain
    return gain, min(ratios)


def _objection(found: FirstSteps, reference: FirstSteps, *, precision: Precision) -> str | None:
    """What speaks against a candidate whose first steps gave ``found``; None when they agree with the reference."""
    if not all(math.isfinite(loss) for loss in (*found.losses, *reference.losses)):
        return "its loss, or that of float32, is not finite"
    size = max(*(abs(loss) for loss in reference.losses), 1e-12)
    off_by = max(abs(a - b) / size for a, b in zip(found.losses, reference.losses, strict=True))
    if off_by > _LOSS_TOLERANCE[precision]:
        return f"its loss is off by {off_by:.2%}, allowed {_LOSS_TOLERANCE[precision]:.2%}"
    allowed = _OUTPUT_TOLERANCE[precision]
    for output, expected in zip(found.outputs, reference.outputs, strict=True):
        distance = float((output - expected).norm())
        if not distance <= allowed * float(expected.norm()):  # NaN must not pass
            off_by = distance / max(float(expected.norm()), 1e-12)
            return f"its outputs are off by {off_by:.2%}, allowed {allowed:.2%}"
        allowed = _OUTPUT_TOLERANCE_UPDATED
    return None


@contextmanager
def _gradients_aside(model: nn.Module) -> Iterator[None]:
    """Keep the model's gradients out of the body's reach: a loss with a penalty on the weights refers to the model."""
    kept = [(parameter, parameter.grad) for parameter in model.parameters()]
    for parameter, _ in kept:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient


def _named(error: Exception) -> str:
    return type(error).__name__
