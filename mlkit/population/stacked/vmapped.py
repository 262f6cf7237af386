"""`VmapStack`: K models of one architecture under `torch.vmap`, for layers that `Stack` does not know.

Same face as `mlkit.population.stacked.stack.Stack`. Not here: recurrent layers, for which PyTorch has no batching rule.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mlkit.population.stacked.dropout import KeyedDropout, dropout_factors, use_keyed_dropout
from mlkit.population.stacked.errors import CannotStackError, cannot_stack
from mlkit.population.stacked.keyed import fold_in, layer_number
from mlkit.population.stacked.members import decayed_names, rows_of, stack_states
from mlkit.population.stacked.stack import Inputs
from mlkit.population.stacked.structure import check_same
from mlkit.population.stacked.trial import unchanged_generators

_SLOW = ".*There is a performance drop because we have not yet implemented the batching rule.*"


class VmapStack:
    """K members, each parameter one tensor ``(K, *shape)``; make it with `VmapStack.of`.

    >>> models = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(3)]
    >>> stack = VmapStack.of(models, keys=[0, 1, 2])
    >>> stack.forward((torch.zeros(5, 3),), shared=True).shape
    torch.Size([3, 5, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        tensors: Mapping[str, Tensor],
        *,
        trainable: Sequence[str],
        keys: Tensor,
        decayed: frozenset[str],
    ) -> None:
        self.model = model
        """Only its code is used."""
        self.tensors = dict(tensors)
        """Parameters and buffers of all members."""
        self.parameters: dict[str, Tensor] = {name: self.tensors[name] for name in trainable}
        """Trainable leaves ``(K, *shape)``."""
        self.keys = keys
        self.decayed = decayed
        self._checked = False
        # Names under which a state dictionary has them; a parameter used under two names is held under its first.
        first: dict[int, str] = {}
        held = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
        names = {name: first.setdefault(id(tensor), name) for name, tensor in held}
        self._persistent = {name: names[name] for name in model.state_dict()}
        self._dropouts = [m for m in model.modules() if isinstance(m, _VmapDropout)]
        self._rates: list[list[float]] = []

    @classmethod
    def of(cls, models: Sequence[nn.Module], *, keys: Sequence[int]) -> VmapStack:
        """Copies of the models as one; arguments as for `Stack.of`.

        Raises:
            CannotStackError: with the layer and the reason.
        """
        check_same(models)
        if len(keys) != len(models):
            raise cannot_stack("", "as many keys as models are needed", received=f"{len(keys)} for {len(models)}")
        copies = [copy.deepcopy(model) for model in models]
        for name, module in copies[0].named_modules():
            if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
                raise cannot_stack(name, f"PyTorch has no batching rule for {type(module).__name__}")
        rates = [_key(model) for model in copies]
        values = [{**dict(m.named_parameters()), **dict(m.named_buffers())} for m in copies]
        wanted = {name: p.requires_grad for name, p in copies[0].named_parameters()}
        tensors = {
            name: torch.stack([v[name].detach() for v in values]).requires_grad_(wanted.get(name, False))
            for name in values[0]
        }
        device = next(iter(tensors.values())).device if tensors else torch.device("cpu")
        stack = cls(
            copies[0],
            tensors,
            trainable=[name for name, trained in wanted.items() if trained],
            keys=torch.tensor([int(key) for key in keys], dtype=torch.int64, device=device),
            decayed=decayed_names(models[0]),
        )
        stack._rates = [list(of_layer) for of_layer in zip(*rates, strict=True)]
        stack.set_dropout(None)
        return stack

    @property
    def size(self) -> int:
        """Members."""
        return len(self.keys)

    def forward(self, inputs: Inputs, *, shared: bool) -> Tensor:
        """Outputs of all members, ``(K, *output of one)``; arguments as for `Stack.forward`.

        Raises:
            CannotStackError: something has no batching rule, or only a slow one.
        """
        names = list(inputs) if isinstance(inputs, Mapping) else None
        values = tuple(inputs.values()) if isinstance(inputs, Mapping) else tuple(inputs)

        def one(tensors: dict[str, Tensor], key: Tensor, rates: list[Tensor], *xs: Tensor) -> Tensor:
            for layer, rate in zip(self._dropouts, rates, strict=True):
                layer.member, layer.rate = key, rate
            try:
                given: object = xs if names is None else ()
                named = {} if names is None else dict(zip(names, xs, strict=True))
                return cast("Tensor", functional_call(self.model, tensors, given, named))
            finally:
                for layer in self._dropouts:
                    layer.member = layer.rate = None

        axes = (0, 0, 0, *[None if shared else 0] * len(values))
        rates = [layer.rates.to(self.keys.device) for layer in self._dropouts]
        run = torch.vmap(one, in_dims=axes)
        if self._checked:
            return run(self.tensors, self.keys, rates, *values)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=_SLOW)
            try:
                with unchanged_generators():
                    output: object = run(self.tensors, self.keys, rates, *values)
            except CannotStackError:
                raise
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # torch.func refuses in many ways; each means "not this model"
                raise cannot_stack("", "torch.vmap refuses it", received=str(error).splitlines()[0][:200]) from error
        if not isinstance(output, Tensor):
            raise cannot_stack("", "its output is no tensor", received=type(output).__name__)
        self._checked = True
        return output

    def gradients(self, losses: Tensor) -> dict[str, Tensor]:
        """As `Stack.gradients`."""
        if not self.parameters:
            return {}
        found = torch.autograd.grad(losses.sum(), list(self.parameters.values()), allow_unused=True)
        return {name: g for name, g in zip(self.parameters, found, strict=True) if g is not None}

    def train(self, mode: bool = True) -> None:
        """As `torch.nn.Module.train`."""
        self.model.train(mode)

    def set_step(self, step: int) -> None:
        """Of the forward passes that follow: the key of their dropout."""
        for layer in self._dropouts:
            layer.step, layer.calls = step, 0

    def set_dropout(self, rates: Tensor | None) -> None:
        """As `Stack.set_dropout`."""
        for layer, own in zip(self._dropouts, self._rates, strict=True):
            given = [float("nan")] * self.size if rates is None else rates.tolist()
            numbers = [mine if rate != rate else rate for rate, mine in zip(given, own, strict=True)]
            layer.rates = torch.tensor(numbers, dtype=torch.float64)
            layer.is_off = not any(numbers)

    def select(self, members: Sequence[int]) -> None:
        """Keep these members, in this order."""
        index = torch.tensor(list(members), dtype=torch.int64, device=self.keys.device)
        for tensor in self.tensors.values():
            tensor.data = tensor.data.index_select(0, index)
            tensor.grad = None
        self.keys = self.keys[index]
        self._rates = [[own[k] for k in members] for own in self._rates]
        for layer in self._dropouts:
            layer.rates = layer.rates[index.cpu()]
            layer.is_off = not bool(layer.rates.any())

    def state_dict_of(self, member: int) -> dict[str, Tensor]:
        """The state dictionary of one member's own model, as copies."""
        return rows_of({name: self.tensors[held] for name, held in self._persistent.items()}, member)

    @torch.no_grad()
    def load_state_dicts(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """One state dictionary a member, each with exactly the model's names."""
        joined = stack_states(states, self.size)
        missing = joined.keys() ^ self._persistent.keys()
        if missing:
            raise cannot_stack("", "the states have other names than the model", received=", ".join(sorted(missing)))
        for name, value in joined.items():
            self.tensors[self._persistent[name]].copy_(value)

    def state(self) -> dict[str, Tensor]:
        """All that training changes, as copies."""
        return {"keys": self.keys.clone(), **{f"model.{n}": t.detach().clone() for n, t in self.tensors.items()}}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """What `state` gave, of a stack of the same members."""
        if state.keys() != {"keys", *(f"model.{name}" for name in self.tensors)} or len(state["keys"]) != self.size:
            raise cannot_stack("", "the saved state belongs to other members")
        for name, tensor in self.tensors.items():
            tensor.copy_(state[f"model.{name}"])
        self.keys.copy_(state["keys"])

    def to(self, device: torch.device | str) -> VmapStack:
        """Move everything; returns itself."""
        for tensor in self.tensors.values():
            tensor.data = tensor.data.to(device)
        self.keys = self.keys.to(device)
        self.model.to(device)
        return self


class _VmapDropout(nn.Module):
    """Keyed dropout within `torch.vmap`: key and rate of the member under way are set around each call."""

    member: Tensor | None
    rate: Tensor | None

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer_number(layer)
        self.step = self.calls = 0
        self.member = self.rate = None
        self.rates = torch.zeros(0)
        self.is_off = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.is_off or self.member is None or self.rate is None:
            return x
        key = fold_in(self.member[None], self.step, self.layer, self.calls)
        self.calls += 1
        return x * dropout_factors(key, x.shape, self.rate[None], x.dtype)[0]


def _key(model: nn.Module) -> list[float]:
    """Replace the dropout of one member in place; the rates, in the order of the modules."""
    use_keyed_dropout(model, 0)
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, KeyedDropout)]
    for name, module in found:
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], _VmapDropout(module.layer).train(module.training))
    return [module.p for _, module in found]
