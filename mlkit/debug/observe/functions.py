"""The torch functions that the program calls, with the user's line and live tensors, while a segment is traced.

Seam: `torch.overrides.TorchFunctionMode`. What it sees it passes on unchanged.
Not here: what the ops mean.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from mlkit.debug.trace import Op

if TYPE_CHECKING:
    from mlkit.debug.session import Session

# Questions about a tensor, asked by libraries thousands of times: they change nothing and tell nothing.
_QUIET = frozenset(
    [
        "size",
        "dim",
        "numel",
        "stride",
        "is_contiguous",
        "storage_offset",
        "is_floating_point",
        "is_complex",
        "dtype",
        "device",
        "shape",
        "layout",
        "requires_grad",
        "is_leaf",
        "grad_fn",
        "is_sparse",
        "is_cuda",
        "is_cpu",
        "is_mps",
        "is_xpu",
        "is_xla",
        "is_mkldnn",
        "is_quantized",
        "is_meta",
        "ndim",
        "ndimension",
        "nelement",
        "element_size",
        "__len__",
        "__repr__",
        "__format__",
        "__hash__",
        "__dir__",
        "_version",
        "_grad",
        "retains_grad",
        "names",
        "is_nested",
        "data_ptr",
        "untyped_storage",
        "storage",
        "backward",
        "itemsize",
        "nbytes",
        "output_nr",
        "requires_grad_",
        "register_hook",
        "is_sparse_csr",
        "_backward_hooks",
        "_base",
        "__reduce_ex__",
        "_is_view",
        "get_device",
        "is_same_size",
        "is_signed",
        "register_post_accumulate_grad_hook",
        "is_inference",
        "is_neg",
        "is_conj",
        "_is_zerotensor",
        "has_names",
        "__class__",
    ]
)
OPS_LIMIT = 20_000


def bare_name(function: Callable[..., Any]) -> str:
    """``add`` for `torch.Tensor.add`; the attribute's name for the getter of an attribute.

    >>> bare_name(torch.nn.functional.cross_entropy), bare_name(torch.Tensor.data.__get__)
    ('cross_entropy', 'data')
    """
    name = getattr(function, "__name__", "?")
    if name in ("__get__", "__set__", "__delete__"):
        attribute = getattr(getattr(function, "__self__", None), "__name__", "?")
        return attribute if name == "__get__" else f"{attribute}.{name}"
    return name


class FunctionRecorder(TorchFunctionMode):
    """Appends every torch call to the session's trace."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._names: dict[Callable[..., Any], str | None] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        session = self._session
        if not session.is_tracing:
            return func(*args, **kwargs)
        try:
            name = self._names[func]
        except (KeyError, TypeError):
            name = bare_name(func)
            name = None if name in _QUIET else name
            with contextlib.suppress(TypeError):
                self._names[func] = name
        if name is None:
            return func(*args, **kwargs)
        try:
            output = func(*args, **kwargs)
        except BaseException as error:
            self._record(name, func, args, kwargs, None, f"{type(error).__name__}: {error}")
            raise
        self._record(name, func, args, kwargs, output, None)
        return output

    def _record(
        self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any, error: str | None
    ) -> None:
        session = self._session
        ops = session.trace.ops
        if len(ops) >= OPS_LIMIT and error is None:
            session.trace.is_truncated = True
            if session.trace.module_calls or session.trace.calls or session.modules.names():
                return
            ops.clear()  # making of data, before any model was called: what is nearest to the call is wanted
        site = session.locator.here(sys._getframe(2))
        names = session.modules.names()
        ops.append(Op(len(ops), name, func, args, kwargs, output, site, names, torch.is_grad_enabled(), error))


class FunctionWatch:
    """Has the recorder on torch's stack of modes only while it is wanted; it leaves when it is on top."""

    def __init__(self, session: Session) -> None:
        self._recorder = FunctionRecorder(session)
        self._is_on = False

    def start(self) -> None:
        if not self._is_on:
            self._recorder.__enter__()  # type: ignore[no-untyped-call]
            self._is_on = True

    def push(self) -> None:
        """In a child: on top of the stack, also within a call that the recorder itself passed on (as backward is)."""
        self._recorder.__enter__()  # type: ignore[no-untyped-call]
        self._is_on = True

    def stop(self) -> None:
        """Leave the stack, or stay (passing everything on) while the user's own mode lies above ours."""
        if self._is_on and torch._C._len_torch_function_stack() > 0:
            top = torch._C._get_function_stack_at(torch._C._len_torch_function_stack() - 1)
            if top is self._recorder:
                self._recorder.__exit__(None, None, None)
                self._is_on = False
