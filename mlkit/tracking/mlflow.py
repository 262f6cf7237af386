"""`MLflow`: settings, metrics and outcome of a run in an MLflow store, a folder, a database or a server.

Not here: the name clash; ``import mlflow`` in this file is the real package.
"""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, Status, TrainState
from mlkit.runtime.hardware import git_state
from mlkit.runtime.imports import optional_import
from mlkit.tracking.guard import harmless
from mlkit.tracking.points import flat, points

OUTCOME: dict[Status, str] = {
    "running": "RUNNING",
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
}
RUN_ID = "mlflow:run_id"
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000  # limits of the REST API
LONGEST_TEXT = 500  # characters of a parameter; what every version of MLflow accepts
PAUSE = 60.0  # seconds without a try after a failure; each may wait for a server that does not answer
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""By default the client waits for many minutes; a person's own values of these variables are kept."""


class MLflow(Hook):
    """Records a run with the MLflow client.

    What is sent follows the run's history (``SPLIT/METRIC`` after each epoch, ``final/SPLIT/METRIC`` at the end, and
    ``learning_rate``), so what could not be sent is sent later, and a resumed run goes on in the same MLflow run
    without doubling points. No global state of MLflow is set.

    Args:
        uri: a folder, ``sqlite:///FILE``, or a server's address; by default the folder ``mlruns``. In a new folder the
            runs are kept in a database, ``mlflow.db``, as MLflow advises; ``mlflow ui --backend-store-uri
            sqlite:///mlruns/mlflow.db`` shows them. A folder of runs from older versions is used as it is.
        experiment: name of the experiment; it is created where it does not exist.
        run_name: name of the run; MLflow makes one up by default.
        params: settings of the run, nested or flat.
        tags: further tags; the commit and the data's fingerprint are added.
        folder: the run folder, kept as a tag.
        artifacts: files and folders to store with the run at its end, those that exist then.

    Raises:
        MissingExtraError: MLflow is not installed.

    Example:
        MLflow("sqlite:///mlflow.db", experiment="digits", params={"lr": 3e-4})
    """

    def __init__(
        self,
        uri: str | None = None,
        experiment: str = "mlkit",
        *,
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        folder: Path | str | None = None,
        artifacts: Sequence[Path | str] = (),
    ) -> None:
        with _calm():
            optional_import("mlflow.tracking", extra="mlflow", purpose="tracking with MLflow")
        self.uri, self.experiment, self.run_name = uri, experiment, run_name
        self.params, self.tags, self.folder, self.artifacts = params or {}, tags or {}, folder, artifacts
        self.warned = False
        self._client: Any = None
        self._run_id: str | None = None
        self._sent = 0  # entries of the history that are in the store
        self._known: set[tuple[str, int]] = set()  # points that were there before
        self._retry_at = 0.0

    @harmless
    def on_fit_start(self, state: TrainState) -> None:
        self._run_id, self._sent, self._known, self._retry_at = None, 0, set(), 0.0
        self._sync(state)

    @harmless
    def on_epoch_start(self, state: TrainState) -> None:
        if time.monotonic() >= self._retry_at and self._sent < len(state.history):
            self._sync(state)

    @harmless
    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        try:
            self._sync(state)
            with _calm():
                for path in map(Path, self.artifacts):
                    if path.is_dir():
                        self._client.log_artifacts(self._run_id, str(path), path.name)
                    elif path.exists():
                        self._client.log_artifact(self._run_id, str(path))
        finally:
            if self._run_id is not None:
                with _calm():
                    self._client.set_terminated(self._run_id, OUTCOME[state.status])

    @harmless
    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        if split == "val" and time.monotonic() >= self._retry_at:
            self._sync(state)

    def _sync(self, state: TrainState) -> None:
        """Send what the store does not have yet."""
        self._retry_at = time.monotonic() + PAUSE
        with _calm():
            if self._run_id is None:
                self._begin(state)
            self._send(state)
        self._retry_at = 0.0

    def _begin(self, state: TrainState) -> None:
        """Find the run that is resumed, or create one."""
        from mlflow.tracking import MlflowClient

        uri, artifact_root = store(self.uri)
        self._client = MlflowClient(tracking_uri=uri)
        run = self._earlier_run(state.extra.get(RUN_ID))
        if run is not None:
            self._client.update_run(run.info.run_id, status="RUNNING")
            names = run.data.metrics
            histories = (self._client.get_metric_history(run.info.run_id, name) for name in names)
            self._known = {(metric.key, metric.step) for history in histories for metric in history}
        else:
            run = self._client.create_run(
                self._experiment_id(artifact_root), run_name=self.run_name, tags=self._all_tags(state)
            )
        state.extra[RUN_ID] = run.info.run_id
        self._send_params(run)
        self._run_id = run.info.run_id

    def _earlier_run(self, run_id: str | None) -> Any:
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return None
        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # the store is another one than before
                return None
            raise

    def _experiment_id(self, artifact_root: str | None) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self.experiment, artifact_location=artifact_root))

    def _all_tags(self, state: TrainState) -> dict[str, str]:
        git = git_state(Path.cwd())
        known = {
            "mlflow.source.git.commit": None if git is None else git["commit"],
            "data.fingerprint": state.about.get("fingerprint"),
            "run_folder": None if self.folder is None else Path(self.folder).absolute(),
        }
        return {**{name: str(value) for name, value in known.items() if value is not None}, **self.tags}

    def _send_params(self, run: Any) -> None:
        from mlflow.entities import Param

        # A parameter can be written once only; a resume may have been given another max_epochs.
        new = [Param(k, str(v)[:LONGEST_TEXT]) for k, v in flat(self.params).items() if k not in run.data.params]
        for some in _pieces(new, PARAMS_AT_ONCE):
            self._client.log_batch(run.info.run_id, params=some)

    def _send(self, state: TrainState) -> None:
        from mlflow.entities import Metric

        new, end, now = state.history[self._sent :], len(state.history), int(time.time() * 1000)
        values = [(name, value, entry["step"]) for entry in new for name, value in points(entry).items()]
        if new and new[-1]["step"] == state.step:
            values.append(("learning_rate", state.learning_rate, state.step))
        metrics = [
            Metric(k, v, now, step) for k, v, step in values if (k, step) not in self._known and not math.isinf(v)
        ]
        for some in _pieces(metrics, METRICS_AT_ONCE):
            self._client.log_batch(self._run_id, metrics=some)
        self._known.update((metric.key, metric.step) for metric in metrics)
        self._sent = end


def store(uri: str | None) -> tuple[str, str | None]:
    """The address that the client is given for ``uri``, and where artefacts go, if that is not the store's affair.

    >>> store("sqlite:///runs.db"), store("http://localhost:5000")
    (('sqlite:///runs.db', None), ('http://localhost:5000', None))
    """
    if uri is not None and (":" in uri.replace(":\\", "") or uri.startswith("databricks")):
        return uri, None
    folder = Path("mlruns" if uri is None else uri).absolute()
    if any(folder.glob("*/meta.yaml")):  # runs of an older MLflow
        return folder.as_uri(), None
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()


def _pieces(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


@contextmanager
def _calm() -> Iterator[None]:
    """While inside, MLflow gives up early, uses a folder of older runs, and keeps its news to itself."""
    missing = {name: value for name, value in PATIENCE.items() if name not in os.environ}
    missing |= {} if "MLFLOW_ALLOW_FILE_STORE" in os.environ else {"MLFLOW_ALLOW_FILE_STORE": "true"}
    logger = logging.getLogger("mlflow")
    level = logger.level
    os.environ.update(missing)
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        for name in missing:
            os.environ.pop(name, None)
