"""The report as HTML: whole, well formed, self-contained, and safe whatever stands in a program."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from mlkit.debug.findings import Finding, Report
from mlkit.debug.page import fragment, page
from mlkit.debug.present import write_html
from mlkit.debug.questions import Curve
from mlkit.debug.sites import Site

CAUSE = Finding(
    "loss.broadcast",
    "shapes (8, 1) & (8,) broadcast",
    site=Site(__file__, 17, "loss"),  # <script>alert(1)</script>
    evidence={"loss": 1.25, "shape": [8, 8]},
    mechanism="a → b",
    fix="x = x[:, 0]\ny = y",
    related=(Finding("step.learning-rate-too-low", "moves too little", severity="warning"),),
)
REPORT = Report(
    (CAUSE,),
    symptom="plateaus",
    steps=40,
    losses=(2.0, 1.5, float("nan"), 1.0, 0.5),
    loss_steps=(0, 1, 2, 20, 39),
    skipped=(("padding", "no lengths"),),
    curves=(Curve("lr*0.1", (2.0, 1.0)),),
)
VOID = {"meta"}


class Checker(HTMLParser):
    """Every tag is closed in its turn; text and references are gathered."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.links, self.lines = "", list[str](), list[str]()
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.lines += [value or "" for name, value in attrs if name == "points"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.lines += [value or "" for name, value in attrs if name == "points"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def test_all_that_was_found_stands_on_the_page_and_nothing_of_the_program_is_markup() -> None:
    read = Checker(page(REPORT, title="a <b> & c.py"))
    assert read.open == []
    assert read.links == []
    named = ("a <b> & c.py", "1 error", "(8, 1) & (8,)", "test_page.py:17", "loss 1.25", "a → b")
    told = ("<script>alert(1)</script>", "x = x[:, 0]\ny = y", "moves too little", "no lengths", "lr*0.1", "plateaus")
    for part in (*named, *told):
        assert part in read.text


def test_a_loss_that_is_not_finite_is_a_gap_and_steps_keep_their_distance() -> None:
    first, second = Checker(fragment(REPORT)).lines[:2]
    before, after = ([float(pair.split(",")[0]) for pair in line.split()] for line in (first, second))
    assert (len(before), len(after)) == (2, 2)
    per_step = before[1] - before[0]
    assert abs((after[1] - after[0]) - 19 * per_step) < 1


def test_a_clean_report_says_so(tmp_path: Path) -> None:
    write_html(Report(()), tmp_path / "new" / "r.html", title="train.py")
    assert "train.py: nothing found" in Checker((tmp_path / "new" / "r.html").read_text()).text
    assert "nothing found" in Report(())._repr_html_()
