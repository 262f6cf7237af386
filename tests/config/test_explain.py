from __future__ import annotations

import pytest

from mlkit.config.choices import MODEL_CHOICES
from mlkit.config.explain import help_text
from mlkit.config.schema import SECTIONS
from mlkit.config.settings import settings_of


def test_every_setting_stands_in_the_help() -> None:
    page = help_text(width=100)
    for name, section in SECTIONS.items():
        for key in settings_of(section):
            assert f"{name}.{key}=" in page


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_but_what_cannot_be_folded(width: int) -> None:
    for line in help_text({"model": "lstm", "data": "csv"}, width=width).splitlines():
        assert len(line) <= width or len(line.split()) == 1 or line.lstrip().startswith("python -m") or "=" in line


def test_the_settings_of_a_chosen_model_are_shown() -> None:
    for name in MODEL_CHOICES:
        page = help_text({"model": name}, width=100)
        assert f"model={name}" in page
        assert all(f"model.{key}=" in page for key in settings_of(MODEL_CHOICES[name]) if key != "name")
