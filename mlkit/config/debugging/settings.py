"""The settings of a debugging run: ``steps=300``, ``seconds=60``, ``apply=true``.

Not here: the settings of the training that is looked at (`mlkit.config.schema`).
"""

from __future__ import annotations

from dataclasses import dataclass

from mlkit.config.settings import setting


@dataclass
class DebugSettings:
    """How long to look, and where the answer goes."""

    run: str | None = setting(None, "folder of a run, of which the settings are taken", example="outputs/…")
    examples: int = setting(64, "examples in the one batch, as many of each class as there are", within=">= 2")
    steps: int = setting(300, "steps on the one batch, at most", within=">= 20")
    seconds: float = setting(60.0, "for the batch and its controls, and again for the trials, at most", within="> 0")
    memory: bool = setting(True, "predict what a step takes, and measure a part of it")
    apply: bool = setting(False, "write the settings with the cure in them as cured.yaml")
    folder: str | None = setting(None, "where the pages go; outputs/DATE/TIME-debug-NAME by default", example="debug")
