from __future__ import annotations

from pathlib import Path

import pytest

from mlkit.config.plugins import import_plugins, named_plugins
from mlkit.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("plugins=[a,b]", ["a", "b"]),
        ("plugins=a", ["a"]),
        ("+plugins=['a', \"b.c\"]", ["a", "b.c"]),
        ("plugins=[]", []),
        ("model=plugins", []),
    ],
)
def test_names_are_read_from_the_command_line(line: str, names: list[str]) -> None:
    assert named_plugins(["seed=1", line]) == names


def test_a_name_that_is_no_module_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="not the name of a module"):
        import_plugins(["os;rm -rf"])


def test_an_error_of_theirs_shows_their_line_and_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("broken_plugin.py").write_text("def deep():\n    return {}['key']\n\n\ndeep()\n")
    with pytest.raises(ConfigError) as caught:
        import_plugins(["broken_plugin"])
    text = str(caught.value)
    assert "KeyError: 'key'" in text
    assert 'broken_plugin.py", line 2' in text
    assert "importlib" not in text
    assert "config/plugins.py" not in text


def test_a_module_that_a_plugin_misses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("needs_more.py").write_text("import surely_not_installed\n")
    with pytest.raises(ConfigError, match="No module named 'surely_not_installed'"):
        import_plugins(["needs_more"])
