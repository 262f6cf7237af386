"""`TensorBoard`: curves of a run as event files, which ``tensorboard --logdir FOLDER`` shows.

Not here: the numbers as text (`mlkit.tracking.metrics_file`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.tracking.guard import harmless
from mlkit.tracking.points import flat, points

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

STEPS_BETWEEN_READS = 50
SECONDS_BETWEEN_READS = 1.0
_WRITTEN = "tensorboard:hparams"


class TensorBoard(Hook):
    """Writes event files.

    ========================  ==========================================================================================
    ``train/loss``            mean loss of the steps since the point before, as the optimiser saw it
    ``train/eval_loss``       loss of the evaluated training examples, comparable with ``val/loss``
    ``SPLIT/METRIC``          every other evaluation, after each epoch
    ``final/SPLIT/METRIC``    the evaluation of whole splits at the end, ``test`` among them
    ``learning_rate``         of the first parameter group, about once a second and once an epoch
    ``samples_per_second``    training examples a second, likewise
    ``weights/…``             histograms once an epoch, and ``gradients/…`` of the epoch's last step
    ========================  ==========================================================================================

    After a resume the points from beyond the checkpoint are taken back, so no curve is doubled.

    Args:
        folder: where the event files go.
        histograms: also histograms of weights and gradients; costs time and disk with every epoch.
        hparams: settings of the run, nested or flat, for the page of hyper-parameters.

    Example:
        >>> import tempfile, torch
        >>> from mlkit.engine.fit import fit
        >>> folder = Path(tempfile.mkdtemp())
        >>> data = (torch.randn(64, 2), torch.arange(64) % 2)
        >>> _ = fit(torch.nn.Linear(2, 2), data, max_epochs=1, hooks=[TensorBoard(folder, hparams={"lr": 3e-4})])
        >>> [path.name[:20] for path in folder.iterdir()]
        ['events.out.tfevents.']
    """

    def __init__(
        self, folder: Path | str, *, histograms: bool = False, hparams: Mapping[str, Any] | None = None
    ) -> None:
        self.folder, self.histograms, self.hparams = Path(folder), histograms, hparams
        self.warned = False
        self._writer: SummaryWriter | None = None
        self._losses: list[Tensor] = []
        self._seen = 0  # entries of the history that are written
        self._epoch = 0  # the epoch whose end is written
        self._read_due = self._pace_due = 0.0
        self._paced = (0.0, 0)  # training seconds and examples at the point before

    @harmless
    def on_fit_start(self, state: TrainState) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._losses.clear()
        self._seen, self._epoch = len(state.history), state.epoch
        # Points from the step after this one on are those that a resume will write again.
        self._writer = SummaryWriter(str(self.folder), purge_step=state.step + 1)
        self._read_due = self._pace_due = time.monotonic() + SECONDS_BETWEEN_READS

    @harmless
    def on_epoch_start(self, state: TrainState) -> None:
        self._write_history(state)
        self._write_hparams(state)
        self._paced = (state.seconds, state.examples)

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        self._losses.append(loss)
        if len(self._losses) >= STEPS_BETWEEN_READS or time.monotonic() >= self._read_due:
            self._write_steps(state)

    @harmless
    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        self._write_history(state)

    @harmless
    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        writer = self._writer
        if writer is None:
            return
        try:
            self._write_losses(state)
            self._write_history(state)
            self._write_hparams(state)
        finally:
            self._writer = None
            writer.close()

    @harmless
    def _write_steps(self, state: TrainState) -> None:
        self._write_losses(state)
        if time.monotonic() >= self._pace_due:
            self._write_pace(state)

    def _write_losses(self, state: TrainState) -> None:
        losses, self._losses = self._losses, []
        self._read_due = time.monotonic() + SECONDS_BETWEEN_READS
        if losses and self._writer is not None:
            self._writer.add_scalar("train/loss", float(torch.stack(losses).mean()), state.step)

    def _write_pace(self, state: TrainState) -> None:
        self._pace_due = time.monotonic() + SECONDS_BETWEEN_READS
        seconds, examples = state.seconds - self._paced[0], state.examples - self._paced[1]
        self._paced = (state.seconds, state.examples)
        if self._writer is None or examples == 0:
            return
        self._writer.add_scalar("learning_rate", state.learning_rate, state.step)
        if seconds > 0:
            self._writer.add_scalar("samples_per_second", examples / seconds, state.step)

    def _write_history(self, state: TrainState) -> None:
        if self._writer is None:
            return
        new, self._seen = state.history[self._seen :], len(state.history)
        if state.epoch > self._epoch:
            self._epoch = state.epoch
            self._write_losses(state)
            self._write_pace(state)
            if self.histograms:
                self._write_histograms(state)
        for entry in new:
            if entry["split"] == "running":  # the mean of an epoch's losses, which are there in finer steps
                continue
            for name, value in points(entry).items():
                tag = "train/eval_loss" if name == "train/loss" else name
                self._writer.add_scalar(tag, value, entry["step"])
        if new:
            self._writer.flush()  # before the checkpoint that will say that these are written

    def _write_histograms(self, state: TrainState) -> None:
        """Of all weights, and of the gradients that the last step has left; what is not finite has no place in one."""
        assert self._writer is not None
        for name, weight in state.model.named_parameters():
            tag = name.replace(".", "/")
            for kind, tensor in (("weights", weight.detach()), ("gradients", weight.grad)):
                values = None if tensor is None else tensor[torch.isfinite(tensor)]
                if values is not None and values.numel():
                    self._writer.add_histogram(f"{kind}/{tag}", values.float().cpu(), state.step)

    def _write_hparams(self, state: TrainState) -> None:
        """Once a run, when it is known what is measured.

        ``SummaryWriter.add_hparams`` would put them into a folder of their own, as if they were another run.
        """
        if self._writer is None or not self.hparams or not state.metrics or _WRITTEN in state.extra:
            return
        from torch.utils.tensorboard.summary import hparams

        names = next((state.metrics[split] for split in ("val", "train") if split in state.metrics), {})
        tags = [f"{prefix}/{name}" for prefix in ("val", "final/val", "final/test") for name in names]
        for summary in hparams(flat(self.hparams), dict.fromkeys(tags, 0.0)):  # type: ignore[no-untyped-call]
            self._writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]
        state.extra[_WRITTEN] = True
