from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mlkit.config.compose import composer
from mlkit.config.multirun import jobs_of
from tests.side_by_side import selected

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```", re.S | re.M)


def _blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [code for name, rest, code in found if name == language and "no-run" not in rest]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[subprocess.CompletedProcess[str]]]]:
    """The code of the pages that are tested, two at a time: each is a process of its own."""

    def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-"]
        return subprocess.run(command, input=code, cwd=folder, text=True, capture_output=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        codes = {page: "\n".join(_blocks(page, "python")) for page in selected(request, "page")}
        yield {page: pool.submit(run, code, tmp_path_factory.mktemp("page")) for page, code in codes.items()}
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, runs: dict[Path, Future[subprocess.CompletedProcess[str]]]
) -> None:
    done = runs[page].result()
    assert done.returncode == 0, done.stderr


def _commands(page: Path) -> list[str]:
    text = "\n".join(code for _, _, code in BLOCK.findall(page.read_text(encoding="utf-8")))
    text = text.replace("\\\n", " ")
    return re.findall(r"(?:python -m mlkit\.train|mlkit train)([^\n#]*)", text)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "errors.md"], ids=lambda page: page.name)
def test_every_command_of_a_page_has_settings_that_exist(page: Path, tmp_path: Path) -> None:
    import shlex

    for line in _commands(page):
        words = [word for word in shlex.split(line) if not word.startswith("-")]
        if any(mark in line for mark in ("…", "FOLDER", "resume=", "plugins=", "path=", ">")):
            continue
        with composer(extra=tmp_path) as session:
            parsed, problems = session.parse(words)
            for job in jobs_of(parsed):
                problems += session.compose(job)[1]
        wrong = [problem for problem in problems if "not installed" not in problem.what]
        assert not wrong, f"{line}: {wrong[0]}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_page_of_messages_is_what_is_said() -> None:
    from tests.mistakes import MISTAKES

    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert page.count("$ python -m mlkit.train") == len(MISTAKES)
