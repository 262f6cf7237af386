"""Which parameters the selected tests of a module have: what a fixture starts ahead, two at a time.

Not here: what is run for them.
"""

from __future__ import annotations

from typing import Any

import pytest


def selected(request: pytest.FixtureRequest, name: str) -> list[Any]:
    """Values of the parameter ``name`` in those tests of the fixture's module that use the fixture, in their order."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    users = [item for item in items if request.fixturename in item.fixturenames]
    return list(dict.fromkeys(item.callspec.params[name] for item in users))
