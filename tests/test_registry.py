from __future__ import annotations

from pathlib import Path

import pytest

from mlkit.errors import ConfigError
from mlkit.registry import Registry, register


def test_builtin_factories_are_imported_when_first_asked_for() -> None:
    table = Registry("model", {"dumps": "json:dumps"})
    assert table.get("dumps")([1]) == "[1]"


def test_a_misspelled_name_lists_all_and_suggests_the_closest() -> None:
    table = Registry("model", {"lenet": "json:dumps", "mlp": "json:dumps"})
    with pytest.raises(ConfigError, match="did you mean 'lenet'") as caught:
        table.get("lenett")
    assert "lenet, mlp" in str(caught.value)


def test_our_names_cannot_be_taken_but_the_users_can_be_replaced() -> None:
    table = Registry("model", {"mlp": "json:dumps"})
    with pytest.raises(ConfigError, match="taken by mlkit"):
        table.add("mlp", dict)
    table.add("mine", dict)
    table.add("mine", list)
    assert table.get("mine") is list
    assert "mine" in table
    assert table.added() == ("mine",)


def test_register_refuses_an_unknown_kind() -> None:
    with pytest.raises(ConfigError, match="unknown kind"):
        register("x", kind="optimiser")  # type: ignore[call-overload]


def test_an_installed_package_offers_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "offered_package.py").write_text("def offered(num_outputs):\n    return num_outputs\n")
    info = tmp_path / "offered-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlkit.model]\noffered_net = offered_package:offered\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("model", {})
    assert "offered_net" in registry.added()
    assert registry.get("offered_net")(3) == 3
