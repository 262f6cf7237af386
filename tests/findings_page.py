"""The page docs/findings.md, made from the docstrings of the rules: `python -m tests.findings_page` writes it.

Not here: the rules.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from mlkit.debug.rules import load

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"
HEAD = """\
# Findings

Every code that [the doctor](debugging.md) can report: what it means, what is seen, why it happens, how to fix it.
A code never changes its meaning. `error` is proven by a property that must hold, `warning` is likely, `info` is worth
knowing.
On the command line: `python -m mlkit.watch --explain CODE`. This page is made from the rules themselves
(`python -m tests.findings_page`).
"""


def page() -> str:
    """The whole page: a table of all codes, then one section a rule."""
    rules = load()
    rows = sorted((code, inspect.cleandoc(rule.page).splitlines()[0]) for rule in rules for code in rule.codes)
    table = ["| code | what is wrong |", "| --- | --- |", *(f"| `{code}` | {what} |" for code, what in rows)]
    sections = []
    for rule in rules:
        title = ", ".join(f"`{code}`" for code in rule.codes)
        sections.append(f"## {title}\n\n{_markdown(inspect.cleandoc(rule.page))}")
    return "\n".join([HEAD, *table, "", "\n\n".join(sections), ""])


def _markdown(text: str) -> str:
    """Literal blocks of a docstring (``word::`` and an indented block) as fenced code; double backticks as single."""
    lines, inside = [], False
    for line in text.replace("``", "`").splitlines():
        if inside and line and not line.startswith("    "):
            while lines and not lines[-1]:
                lines.pop()
            lines += ["```", ""]
            inside = False
        if line.endswith("::") and not inside:
            lines += [f"{line[:-1]}", "", "```python no-run"]
            inside = True
            continue
        if inside:
            if not line and lines[-1] == "```python no-run":
                continue
            lines.append(line[4:])
        else:
            lines.append(line)
    if inside:
        while lines and not lines[-1]:
            lines.pop()
        lines.append("```")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
