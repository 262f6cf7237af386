"""Where in the user's own code something happened: the innermost frame that is neither Python's, a package's nor ours.

Not here: what happened there.
"""

from __future__ import annotations

import linecache
import site
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

_OWN = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True)
class Site:
    """A line of a file, and the function that it stands in.

    >>> str(Site("train.py", 12, "main"))
    'train.py:12'
    """

    file: str
    line: int
    function: str = "<module>"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def source(self) -> str:
        """The line's text, without its indentation; empty where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()


def _library_roots() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()]
    folders.append(site.getusersitepackages())
    resolved = [str(Path(folder).resolve()) for folder in folders]
    return tuple(sorted({f"{folder}/" for folder in (*folders, *resolved)}))


class Locator:
    """Tells the user's code from libraries', remembering the answer for each code object.

    Args:
        own: folders whose code is the user's even inside a library folder (for ``-m package``).
    """

    def __init__(self, own: tuple[str, ...] = ()) -> None:
        self._own = own
        self._libraries = _library_roots()
        self._known: dict[CodeType, bool] = {}

    def is_user_file(self, name: str) -> bool:
        """Whether a file's name is that of user code."""
        if name.startswith("<"):
            # Notebook cells are the user's ("<ipython-input-…>"); "<frozen …>" and "<string>" are not.
            return name.startswith("<ipython")
        if name.startswith(self._own):
            return True
        return not name.startswith((_OWN, *self._libraries))

    def is_user_code(self, code: CodeType) -> bool:
        """Whether a code object stands in the user's file."""
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = self.is_user_file(code.co_filename)
        return known

    def here(self, frame: FrameType | None = None) -> Site | None:
        """The innermost user frame from ``frame`` (the caller's by default) outwards."""
        frame = frame or sys._getframe(1)
        known = self._known
        current: FrameType | None = frame
        while current is not None:
            code = current.f_code
            is_user = known.get(code)
            if is_user is None:
                is_user = self.is_user_code(code)
            if is_user:
                return Site(code.co_filename, current.f_lineno, code.co_name)
            current = current.f_back
        return None

    def maker(self, frame: FrameType, made: object) -> Site | None:
        """The user's line that constructs ``made``: the innermost one outside its own constructors."""
        current: FrameType | None = frame
        while current is not None:
            code = current.f_code
            inside = (
                code.co_name == "__init__"
                and current.f_locals.get(code.co_varnames[0] if code.co_varnames else "") is made
            )
            if not inside and self.is_user_code(code):
                return Site(code.co_filename, current.f_lineno, code.co_name)
            current = current.f_back
        return None

    def stack(self, frame: FrameType | None = None, *, limit: int = 4) -> tuple[Site, ...]:
        """The innermost ``limit`` user frames, the innermost first."""
        frame = frame or sys._getframe(1)
        found: list[Site] = []
        current: FrameType | None = frame
        while current is not None and len(found) < limit:
            if self.is_user_code(current.f_code):
                found.append(Site(current.f_code.co_filename, current.f_lineno, current.f_code.co_name))
            current = current.f_back
        return tuple(found)
