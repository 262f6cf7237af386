"""Where predictions meet targets on the way to the loss: shapes, kinds of target, lines. Other rules build on it.

Not here: whether the two belong together.
"""

from __future__ import annotations

from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene


@probe("heads", scenes=("train", "eval"))
def heads(scene: Scene) -> Measurement:
    """Every head in words, the batch, and the value of the loss."""
    return {
        "model": type(scene.model).__name__ if scene.model is not None else None,
        "batch_size": scene.batch_size,
        "inputs": [str(tuple(one.shape)) for one in scene.inputs],
        "outputs": [str(tuple(one.shape)) for one in scene.outputs],
        "loss": float(scene.loss.detach()) if scene.loss is not None and scene.loss.numel() == 1 else None,
        "heads": [
            {
                "name": head.name,
                "is_known": head.is_known,
                "kind": head.kind,
                "prediction": tuple(head.prediction.shape),
                "target": tuple(head.target.shape) if head.target is not None else None,
                "target_dtype": str(head.target.dtype) if head.target is not None else None,
                "output": tuple(head.output.shape),
                "site": head.site,
            }
            for head in scene.heads
        ],
    }
