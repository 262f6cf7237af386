"""`step.unregistered-parameter`: layers or tensors that a model uses and does not list among its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule


@rule("step.unregistered-parameter")
def check(facts: Facts) -> Iterator[Finding]:
    """A model uses layers that its ``parameters()`` do not list.

    A module finds the layers that are its attributes, or stand in a `ModuleList` or `ModuleDict`. Those in a plain
    list, dict or tuple it does not see, nor tensors that are no `Parameter`: they are not optimised, not saved, not
    moved to a device, not switched to evaluation. They stay random; the layers around them learn as well as they can.

    Proof: the gradient of the loss ends in a trainable tensor that belongs to a module run within the model's forward
    (or is an attribute of one of its modules), which the model does not list and no optimiser holds. Layers hidden on
    purpose whose gradients are not computed (a teacher in a tuple), or that an optimiser holds all the same, are
    quiet; so are inputs whose gradients the program asks for.

    Buggy::

        self.blocks = [Block(dim) for _ in range(4)]

    Fixed::

        self.blocks = nn.ModuleList(Block(dim) for _ in range(4))

    Seen in: pytorch/pytorch#715, #59925; ikostrikov/pytorch-meta-optimizer#11; EleutherAI/gpt-neox#267.
    """
    if not any(optimizer.steps for optimizer in facts.optimizers.values()):
        return
    found: dict[object, list[dict[str, Any]]] = {}
    for _, result in scenes(facts, "reach"):
        for entry in result.get("unregistered", ()):
            ids = set(entry["ids"])
            if ids & facts.moved_leaves or (entry["kind"] != "module" and not ids <= facts.lasting_leaves):
                continue
            if entry["kind"] in ("module", "tensor"):
                found.setdefault((entry["kind"], entry["site"]), []).append(entry)
    if not found:
        return
    # One list of many layers is one mistake: the place with most numbers is told, the others beside it.
    places = sorted(found.values(), key=lambda entries: -sum(int(one["numbers"]) for one in entries))
    for entries in places[:2]:
        yield _finding(facts, entries)


def _finding(facts: Facts, entries: list[dict[str, Any]]) -> Finding:
    first = entries[0]
    names = ", ".join(dict.fromkeys(str(one["name"]) for one in entries))
    ids = {number for one in entries for number in one["ids"]}
    is_module = first["kind"] == "module"
    is_anew = is_module and not ids & facts.lasting_leaves and any(roll.step > 0 for roll in facts.rolls)
    if is_anew:
        message = f"{names} is made anew in every forward pass: it is never trained"
        fix = "make the layer once, in __init__: self.layer = …"
    elif is_module:
        message = (
            f"the model does not know its layers of class {names}: parameters() does not list them, "
            "and no optimiser trains them"
        )
        fix = "self.layers = nn.ModuleList(…)   # or nn.ModuleDict, instead of a plain list or dict"
    else:
        message = f"{names} is trainable but no nn.Parameter: parameters() does not list it, no optimiser trains it"
        fix = f"self.{first['name'].rpartition('.')[2]} = nn.Parameter(…)"
    return Finding(
        "step.unregistered-parameter",
        message,
        site=first["site"],
        evidence={
            "layers": len(entries),
            "tensors": sum(int(one["tensors"]) for one in entries),
            "numbers in them": sum(int(one["numbers"]) for one in entries),
        },
        mechanism="a plain container hides the layers from the module → the optimiser never gets them → they "
        "stay random, are "
        "not saved, and do not follow .to() or .eval()",
        fix=fix,
        confidence=0.98,
        explains=("step.parameter-not-optimised", "model.too-small"),
    )
