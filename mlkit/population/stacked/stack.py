"""`Stack`: K models of one architecture as one, whose forward pass is the model's own, run once.

Not here: updates (`mlkit.population.stacked.optimizers`), losses (`mlkit.population.stacked.losses`), and models whose
layers are not known here (`mlkit.population.stacked.vmapped`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mlkit.population.stacked.convert import convert
from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.fold import Fold, repeat_rows
from mlkit.population.stacked.layers import StackedDropout
from mlkit.population.stacked.members import decayed_names, rows_of, stack_states
from mlkit.population.stacked.recurrent import StackedLSTM
from mlkit.population.stacked.structure import check_same
from mlkit.population.stacked.trial import agree, perturbed, unchanged_generators

Inputs = tuple[Tensor, ...] | Mapping[str, Tensor]


class Stack:
    """K members, each parameter one tensor ``(K, *shape)``; make it with `Stack.of`.

    >>> models = [nn.Linear(3, 2) for _ in range(4)]
    >>> stack = Stack.of(models, keys=[0, 1, 2, 3])
    >>> x = torch.randn(5, 3)
    >>> outputs = stack.forward((x,), shared=True)
    >>> outputs.shape, torch.allclose(outputs[2], models[2](x), atol=1e-6)
    (torch.Size([4, 5, 2]), True)
    >>> stack.select([3, 0])
    >>> stack.size, torch.equal(stack.state_dict_of(0)["weight"], models[3].weight)
    (2, True)
    """

    def __init__(self, model: nn.Module, fold: Fold, *, decayed: frozenset[str]) -> None:
        self.model = model
        """The model whose leaf layers are stacked; parameters and buffers have their own names."""
        self.fold = fold
        self.decayed = decayed
        """Names of the parameters that weight decay acts on, as in `mlkit.engine.optimizers`."""
        self.parameters: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if p.requires_grad}
        """Trainable leaves ``(K, *shape)``."""
        self._keeps_shared: bool | None = None
        self._draws_nothing = False
        self._rates = [(layer, layer.rates.tolist()) for layer in self._dropouts()]

    @classmethod
    def of(cls, models: Sequence[nn.Module], *, keys: Sequence[int]) -> Stack:
        """Copies of the models as one.

        Args:
            models: same classes, plain attributes and shapes; rates of dropout may differ.
            keys: of the members' random numbers; a member's depend on its key, the step and the layer alone.

        Raises:
            CannotStackError: with the layer and the reason.
        """
        check_same(models)
        fold = Fold(len(models))
        fold.keys = torch.tensor([int(key) for key in keys], dtype=torch.int64)
        if len(fold.keys) != len(models):
            raise cannot_stack("", "as many keys as models are needed", received=f"{len(keys)} for {len(models)}")
        model = convert(models, fold)
        stack = cls(model, fold, decayed=decayed_names(models[0]))
        device = next((p.device for p in model.parameters()), None)
        return stack.to(device) if device is not None else stack

    @property
    def size(self) -> int:
        """Members."""
        return self.fold.size

    def forward(self, inputs: Inputs, *, shared: bool) -> Tensor:
        """Outputs of all members, ``(K, *output of one)``.

        Args:
            inputs: what the model's own forward takes.
            shared: True: one batch ``(B, …)`` for all; False: one each, ``(K, B, …)``.

        Raises:
            CannotStackError: the forward pass does something that rows of different members do not go through.
        """
        if self._draws_nothing:
            return self._forward(inputs, shared=shared)
        with unchanged_generators():
            output = self._forward(inputs, shared=shared)
        self._draws_nothing = self.model.training
        return output

    def _forward(self, inputs: Inputs, *, shared: bool) -> Tensor:
        tensors = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
        self.fold.rows = tensors[0].shape[0 if shared else 1]
        if not shared:
            return self._run(_each(inputs, lambda x: x.flatten(0, 1)), shared=False)
        if self._keeps_shared is None:
            self._keeps_shared = self.size == 1 or self._try_shared(inputs)
        if self._keeps_shared:
            return self._run(inputs, shared=True)
        return self._run(self._repeated(inputs), shared=False)

    def _repeated(self, inputs: Inputs) -> Inputs:
        return _each(inputs, lambda x: repeat_rows(x, self.size))

    def _run(self, inputs: Inputs, *, shared: bool) -> Tensor:
        self.fold.shared = shared
        output = self.model(**inputs) if isinstance(inputs, Mapping) else self.model(*inputs)
        if not isinstance(output, Tensor):
            raise cannot_stack("", "its output is no tensor", received=type(output).__name__)
        if self.fold.is_shared(output):  # nothing in the model has parameters
            return output[None].expand(self.size, *output.shape)
        return self.fold.split(output, "the model's output")

    def _try_shared(self, inputs: Inputs) -> bool:
        """Whether the batch may stay one for all until the first layer with parameters; found out by trying.

        A model that adds, joins or indexes by its input needs the input repeated. Members are made different for this,
        since those of equal weights would hide a mix-up.
        """
        with torch.no_grad(), self.restored(), perturbed(list(self.model.parameters())):
            expected = self._run(self._repeated(inputs), shared=False)
            self._rewind()
            try:
                found = self._run(inputs, shared=True)
            except Exception:  # whatever a forward raises for rows that do not fit
                return False
            return found.shape == expected.shape and agree(found, expected)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """For forward passes that leave no trace: buffers and counters of calls come back."""
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        calls = [(layer, layer.calls) for layer in self._dropouts()]
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
            for layer, count in calls:
                layer.calls = count

    def _rewind(self) -> None:
        for layer in self._dropouts():
            layer.calls = 0

    def gradients(self, losses: Tensor) -> dict[str, Tensor]:
        """Each member's gradient of its own loss ``(K,)``; parameters that the loss does not depend on are left out."""
        if not self.parameters:
            return {}
        found = torch.autograd.grad(losses.sum(), list(self.parameters.values()), allow_unused=True)
        return {name: g for name, g in zip(self.parameters, found, strict=True) if g is not None}

    def train(self, mode: bool = True) -> None:
        """As `torch.nn.Module.train`."""
        self.model.train(mode)

    def set_step(self, step: int) -> None:
        """Of the forward passes that follow: the key of their dropout."""
        self.fold.step = step
        self._rewind()

    def set_dropout(self, rates: Tensor | None) -> None:
        """Rates ``(K,)`` for all dropout layers of a member; NaN, or None for all, leaves the model's own."""
        for layer, own in self._rates:
            given = [float("nan")] * self.size if rates is None else rates.tolist()
            layer.set_rates([mine if rate != rate else rate for rate, mine in zip(given, own, strict=True)])

    def _dropouts(self) -> Iterator[StackedDropout | StackedLSTM]:
        for module in self.model.modules():
            if isinstance(module, (StackedDropout, StackedLSTM)):
                yield module

    def select(self, members: Sequence[int]) -> None:
        """Keep these members, in this order; `parameters` keeps its tensors' identities, not their sizes."""
        index = torch.tensor(list(members), dtype=torch.int64)
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            tensor.data = tensor.data.index_select(0, index.to(tensor.device))
            tensor.grad = None
        self.fold.keys = self.fold.keys[index.to(self.fold.keys.device)]
        self.fold.size = len(members)
        for layer, _ in self._rates:
            layer.select(index)
        self._rates = [(layer, [own[k] for k in members]) for layer, own in self._rates]
        self._keeps_shared = None

    def state_dict_of(self, member: int) -> dict[str, Tensor]:
        """The state dictionary of one member's own model, as copies."""
        return rows_of(self.model.state_dict(), member)

    @torch.no_grad()
    def load_state_dicts(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """One state dictionary a member, each with exactly the model's names."""
        self.model.load_state_dict(stack_states(states, self.size))

    def state(self) -> dict[str, Tensor]:
        """All that training changes, as copies; buffers that state dictionaries leave out as well."""
        tensors = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        return {"keys": self.fold.keys.clone(), **{f"model.{n}": t.detach().clone() for n, t in tensors.items()}}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """What `state` gave, of a stack of the same members."""
        tensors = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        if state.keys() != {"keys", *(f"model.{name}" for name in tensors)} or len(state["keys"]) != self.size:
            raise cannot_stack("", "the saved state belongs to other members")
        for name, tensor in tensors.items():
            tensor.copy_(state[f"model.{name}"])
        self.fold.keys.copy_(state["keys"])

    def to(self, device: torch.device | str) -> Stack:
        """Move everything; returns itself."""
        self.model.to(device)
        self.fold.keys = self.fold.keys.to(device)
        return self


def _each(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    if isinstance(inputs, Mapping):
        return {name: change(x) for name, x in inputs.items()}
    return tuple(change(x) for x in inputs)
