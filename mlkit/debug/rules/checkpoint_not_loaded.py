"""`step.checkpoint-not-loaded`: a state dictionary was loaded, and changed (almost) nothing."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts, LoadFacts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule


@rule("step.checkpoint-not-loaded")
def check(facts: Facts) -> Iterator[Finding]:
    """A load that loaded nothing, or nearly nothing.

    With ``strict=False`` names that do not agree are passed over in silence. A prefix too many (``module.``,
    ``model.``, ``encoder.``) and no tensor agrees: training starts from random weights, and "pre-trained" is no
    better. The same happens where a state is filtered by name first, and the filter leaves nothing.

    Proof: no name of the given state agrees with one of the module; or more tensors would agree, in name and shape,
    with one prefix more or less, than do; or all that is loaded into the module are its own tensors. A state without
    the new head, or with adapters alone, agrees where it says anything: quiet.

    Buggy::

        encoder.load_state_dict(torch.load("model.pt"), strict=False)

    Fixed::

        state = {name.removeprefix("encoder."): value for name, value in torch.load("model.pt").items()}
        encoder.load_state_dict(state)

    Seen in: pytorch/examples#1029.
    """
    for load in facts.loads:
        if not load.given or not load.tensors or load.aliased_since is not None:
            continue
        nothing = load.matched == 0 and load.changed == 0
        renamed = load.renamed >= 2 and load.renamed > load.matched
        own = load.shares_storage >= load.given and load.given >= load.tensors and load.changed == 0
        if not (nothing or renamed or own):
            continue
        yield Finding(
            "step.checkpoint-not-loaded",
            _message(load, own=own and not renamed),
            severity="error" if nothing or renamed else "warning",
            site=load.site,
            evidence={
                "tensors given": load.given,
                "names that agree": load.matched,
                "tensors changed": load.changed,
                "tensors of the module": load.tensors,
                "names that would agree with another prefix": load.renamed,
            },
            mechanism="names that do not agree are passed over → the module keeps its random weights → "
            "training starts from "
            "scratch",
            fix=_fix(load),
            confidence=0.98 if nothing or renamed else 0.85,
        )


def _message(load: LoadFacts, *, own: bool) -> str:
    if own:
        return f"the state loaded into {load.model} is made of its own tensors only: nothing is loaded"
    why = ""
    if load.renamed:
        prefix = load.prefix[1:]
        why = f": its names have `{prefix}` in front" if load.prefix[0] == "-" else f": its names lack `{prefix}`"
    return f"only {load.matched} of {load.given} tensors of the state fit {load.model}{why}"


def _fix(load: LoadFacts) -> str:
    if load.prefix.startswith("-"):
        return f'state = {{name.removeprefix("{load.prefix[1:]}"): value for name, value in state.items()}}'
    if load.prefix.startswith("+"):
        return f'state = {{"{load.prefix[1:]}" + name: value for name, value in state.items()}}'
    return "load with strict=True, and look at the names that it complains of"
