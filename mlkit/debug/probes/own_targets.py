"""Whether the program trains on what a model of its own made: sampled actions, bootstrapped targets, signed weights.

The height of such a loss says nothing about progress. Not here: the curve (`mlkit.debug.symptom`).
"""

from __future__ import annotations

from torch import Tensor, nn

from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op

_DRAWS = ("multinomial", "bernoulli", "poisson", "binomial", "normal", "gumbel_softmax")
_PRODUCTS = ("mul", "__mul__", "__rmul__")


@probe("own_targets")
def measure(scene: Scene) -> Measurement:
    """``samples``: draws from a model's output; ``moving``: a target computed by a model that is being trained or is
    moved along; ``weighs``: a likelihood multiplied with constants of either sign.
    """
    found: Measurement = {}
    if _draws_from_model(scene):
        found["samples"] = True
    if any(_is_made_by_model(scene, head.target) for head in scene.heads if head.target is not None):
        found["moving"] = True
    if _weighs(scene):
        found["weighs"] = True
    return found


def _draws_from_model(scene: Scene) -> bool:
    reached = {id(one) for call in scene.model_calls for one in call_outputs(scene, call.start, call.stop)}
    if not reached:
        reached = {id(one) for op in scene.path for one in op.outputs}
    for op in scene.trace.ops:
        if any(id(one) in reached for one in op.inputs):
            if op.name in _DRAWS and not any(one.requires_grad for one in op.outputs):
                return True
            reached |= {id(one) for one in op.outputs}
    return False


def call_outputs(scene: Scene, start: int, stop: int) -> list[Tensor]:
    """What the ops of a call made, its last outputs included."""
    return [one for op in scene.trace.ops[start:stop] for one in op.outputs]


def _is_made_by_model(scene: Scene, target: Tensor) -> bool:
    """Whether a target without a graph was computed with weights that training moves."""
    made: list[Op] = scene.trace.behind([target])
    weights = [one for op in made for one in op.inputs if isinstance(one, nn.Parameter)]
    if not weights:
        return False
    live = {
        id(one)
        for optimizer in scene.session.optimizers.live()
        for group in optimizer.param_groups
        for one in group["params"]
    }
    if any(id(one) in live for one in weights):
        return True
    # A copy of the trained model (a target network, a slow teacher) has weights of the very same shapes.
    mine = {id(one) for one in weights}
    shapes = [tuple(one.shape) for one in {id(w): w for w in weights}.values()]
    trained = [tuple(one.shape) for _, one in scene.parameters if id(one) not in mine and id(one) in live]
    return bool(shapes) and sorted(shapes) == sorted(trained)[: len(shapes)] and len(shapes) == len(trained)


def _weighs(scene: Scene) -> bool:
    head = scene.head
    for op in scene.path:
        if op.name not in _PRODUCTS:
            continue
        graph = [one for one in op.inputs if one.requires_grad and one.dim()]
        plain = [one for one in op.inputs if not one.requires_grad and one.dim() and one.numel() > 1]
        if len(graph) != 1 or len(plain) != 1 or any(call.start <= op.index < call.stop for call in scene.model_calls):
            continue
        if head is not None and head.is_known and op.index < head.op.index:
            continue
        value, weight = graph[0].detach(), plain[0].detach()
        if not (value.is_floating_point() and weight.is_floating_point()) or value.numel() < 2:
            continue
        one_signed = bool((value <= 0).all()) or bool((value >= 0).all())
        if one_signed and bool((weight > 0).any()) and bool((weight < 0).any()) and _is_likelihood(scene, graph[0]):
            return True
    return False


def _is_likelihood(scene: Scene, value: Tensor) -> bool:
    names = {op.name for op in scene.trace.behind([value])}
    return bool(names & {"log_softmax", "logsumexp", "log", "logsigmoid", "cross_entropy", "nll_loss"})
