"""Whether the first loss and its gradients are finite, and if not, the op that made them so.

Not here: numbers that become non-finite later (`mlkit.debug.locate`).
"""

from __future__ import annotations

from mlkit.debug import culprit
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene


@probe("finite")
def finite(scene: Scene) -> Measurement:
    """The op at fault, or nothing."""
    if scene.loss is None:
        return {}
    return culprit.of_loss(scene.trace, scene.loss) or culprit.of_gradient(scene.trace, scene.loss)
