"""The text form of hyper-parameters, as they stand in settings and on a command line: ``log(1e-5, 1e-1)``.

Text is read as Python's literals, never evaluated. Not here: what the forms mean (`mlkit.search.dimensions`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from mlkit.errors import ConfigError, did_you_mean
from mlkit.search.dimensions import Dimension, Value, choice, fixed, integer, log, uniform

EXAMPLES = "log(1e-5, 1e-1), uniform(0, 0.6), integer(1, 8), interval(1e-5, 1e-1), choice(relu, tanh), fixed(0.9)"


def interval(low: float, high: float, *, grow: bool = True, limits: tuple[float, float] | None = None) -> Dimension:
    """A range whose scale follows from its ends: logarithmic over a factor of 100 or more, whole between whole numbers.

    >>> print(interval(1e-5, 1e-1), interval(0, 0.6), interval(16, 2048), interval(1, 4))
    log(1e-05, 0.1) uniform(0, 0.6) integer(16, 2048, log=True) integer(1, 4)
    """
    wide = low > 0 and high / low >= 100  # two decades: linear draws would leave the lower one nearly empty
    if isinstance(low, int) and isinstance(high, int):
        whole = None if limits is None else (int(limits[0]), int(limits[1]))
        return integer(low, high, log=wide, grow=grow, limits=whole)
    return log(low, high, grow=grow, limits=limits) if wide else uniform(low, high, grow=grow, limits=limits)


FORMS: dict[str, Callable[..., Dimension]] = {
    "log": log,
    "uniform": uniform,
    "integer": integer,
    "interval": interval,
    "choice": choice,
    "fixed": fixed,
}


def dimension_of(given: object) -> Dimension:
    """What a value in a dictionary stands for: a form in text is read, any other plain value is fixed.

    >>> print(dimension_of("log(1e-5, 1e-1)"), dimension_of("adam"), dimension_of(3))
    log(1e-05, 0.1) fixed('adam') fixed(3)
    """
    if isinstance(given, str):
        return parse(given) if _looks_like_a_form(given) else fixed(given)
    if isinstance(given, (bool, int, float, type(None))):
        return fixed(given)
    raise ConfigError(
        "not something that can be searched",
        received=repr(given),
        allowed=EXAMPLES,
        todo=f"for one of several values write choice({', '.join(map(repr, given))})"
        if isinstance(given, (list, tuple))
        else None,
    )


def parse(text: str) -> Dimension:
    """Read one form, such as ``integer(16, 256, log=True)``; words without quotes are text.

    Raises:
        ConfigError: it is no form, or its values are wrong; the message shows what is allowed.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise _wrong("the text cannot be read", text, f"look at {error.msg}") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise _wrong("the text is not of the form name(values)", text)
    name = call.func.id
    if name not in FORMS:
        raise _wrong(f"{name}() is not a form of hyper-parameters", text, did_you_mean(name, FORMS))
    values = [_literal(argument, text) for argument in call.args]
    named = {keyword.arg or "**": _literal(keyword.value, text) for keyword in call.keywords}
    try:
        return FORMS[name](*values, **named)
    except TypeError as error:
        raise _wrong(f"{name}() was given the wrong values", text, str(error).replace("()", "")) from None


def _looks_like_a_form(text: str) -> bool:
    head, bracket, _ = text.strip().partition("(")
    return bool(bracket) and head.isidentifier()


def _literal(node: ast.expr, text: str) -> Value | tuple[Value, ...]:
    if isinstance(node, ast.Name):  # a bare word: relu, adam
        return {"true": True, "false": False, "null": None, "none": None}.get(node.id.lower(), node.id)
    try:
        value: Value | tuple[Value, ...] = ast.literal_eval(node)
    except ValueError:
        raise _wrong(f"{ast.unparse(node)} is not a plain value", text, "write numbers, words or quoted text") from None
    return value


def _wrong(what: str, text: str, todo: str | None = None) -> ConfigError:
    return ConfigError(what, received=text, allowed=EXAMPLES, todo=todo)
