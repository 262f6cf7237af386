from __future__ import annotations

import pytest

from tests.mistakes import MISTAKES, Mistake, told


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_a_mistake_gets_one_clear_message(mistake: Mistake) -> None:
    code, message = told(mistake)
    assert mistake.expected in message
    assert code == mistake.code
    assert "Traceback" not in message
    assert message.startswith("error:")
    assert "to do:" in message or "allowed:" in message or "received:" in message


def test_there_are_enough_of_them_to_speak_of_a_table() -> None:
    assert len(MISTAKES) >= 40
    assert len({mistake.what for mistake in MISTAKES}) == len(MISTAKES)
