"""One page of HTML that needs no other file, made of the parts that results show in notebooks.

Not here: the parts themselves.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #57606a; --line: #d0d7de }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9aa4af; --line: #3d444d } }
body { margin: 2rem auto; padding: 0 1rem; max-width: 60rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 0 0 .6rem }
section { border-top: 1px solid var(--line); padding: 1rem 0; overflow-x: auto }
svg, img { max-width: 100%; height: auto }
th, td { vertical-align: top }
"""


def page(title: str, sections: Sequence[str]) -> str:
    """A whole document.

    Args:
        title: at its head.
        sections: HTML, as `section` makes it.
    """
    metas = ('charset="utf-8"', 'name="viewport" content="width=device-width"')
    head = "".join(f"<meta {meta}>" for meta in metas) + f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    body = f"<h1>{html.escape(title)}</h1>{''.join(sections)}"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>\n"


def section(title: str, content: str) -> str:
    """A part of a page.

    Args:
        title: its heading.
        content: HTML.
    """
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>"
