from __future__ import annotations

import warnings

import pytest

from mlkit.tracking.guard import describe, harmless


class Fragile:
    def __init__(self, *errors: BaseException | None) -> None:
        self.warned = False
        self.errors = list(errors)
        self.done = 0

    @harmless
    def work(self) -> None:
        error = self.errors.pop(0)
        if error is not None:
            raise error
        self.done += 1


def test_a_failure_is_told_once_and_later_calls_are_tried_again() -> None:
    tracker = Fragile(OSError(28, "No space left on device"), OSError("again"), None)
    with pytest.warns(UserWarning, match=r"Fragile failed \(OSError: \[Errno 28\] No space left .*the run goes on"):
        tracker.work()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.work()
        tracker.work()
    assert tracker.done == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_is_meant_to_end_the_process_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)):
        Fragile(error).work()


def test_of_a_long_message_only_the_first_line_is_told() -> None:
    assert describe(RuntimeError("HTTP 500\n<html>\n<body>")) == "RuntimeError: HTTP 500"
    assert describe(ValueError()) == "ValueError"
