"""`mode.sticky`: a change that evaluation makes and that training does not undo.

Not here: a forgotten ``train()`` (`training_in_eval`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import entries
from mlkit.debug.rules import rule


@rule("mode.sticky")
def check(facts: Facts) -> Iterator[Finding]:
    """One evaluation pass changes a setting of a module for good.

    A forward that writes into ``self`` when it runs in evaluation mode (``self.p = 0``) leaves the change behind: after
    the first validation, training goes on without dropout, or with another setting than it began with.

    Proof: the model was taken from training to evaluation, called, and taken back; a setting is no longer what it was,
    and a pass in training mode does not move it.

    Buggy::

        def forward(self, x):
            if not self.training:
                self.p = 0.0
            return F.dropout(x, self.p)

    Fixed::

        return F.dropout(x, self.p, training=self.training)

    Seen in: NVIDIA/Megatron-LM#411.
    """
    stuck = entries(facts, "mode-round-trip", "stuck")
    for first in stuck[:1]:
        yield Finding(
            "mode.sticky",
            f"one evaluation pass changes {first['module']}.{first['attribute']} for good: "
            f"{first['before']} → {first['after']} also in the training that follows",
            site=first["site"],
            evidence={
                "before": first["before"],
                "after evaluation and train()": first["after"],
                "settings": len(stuck),
            },
            mechanism="forward writes into self in evaluation mode → train() does not undo it → the rest of training "
            "runs with the evaluation setting",
            fix="do not write to self in forward: use self.training where the value is used",
            confidence=0.96,
        )
