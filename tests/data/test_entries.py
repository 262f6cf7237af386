from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mlkit
from mlkit.data import DataBundle, Source, catalogue, load
from mlkit.data.load import options_of
from mlkit.errors import ConfigError
from mlkit.registry import DATA
from mlkit.task import Task

YOURS = ("csv", "forecast_csv", "text_file", "image_folder")
MADE = ("blobs", "spirals", "bars", "adding", "copy")
WITH_SKLEARN = ("digits", "breast_cancer", "wine", "iris", "diabetes")
LENGTHS = {
    "etth1": "17,420 rows",
    "air_passengers": "144 rows",
    "daily_temperatures": "3,650 rows",
    "sunspots": "2,820 rows",
    "tiny_shakespeare": "1,115,394 characters",
}
BUILTIN = tuple(entry.name for entry in catalogue() if not entry.family.startswith("Registered"))
ON_DISK = tuple(name for name in BUILTIN if name not in (*YOURS, *MADE, *WITH_SKLEARN, "cifar10"))


@pytest.fixture
def registered() -> Iterator[str]:
    @mlkit.register("my_points", kind="data")
    def my_points(*, root: str | None = None, points: int = 10) -> Source:
        """Points of mine.

        More about them.
        """
        raise NotImplementedError

    yield "my_points"
    del DATA._added["my_points"]


def _task_words(task: Task, name: str) -> str:
    if task.kind == "next_token":
        return f"next of {task.num_outputs} tokens"
    if task.kind == "classification":
        return f"{task.num_outputs} classes"
    if name in LENGTHS:
        return f"forecast {task.num_outputs} step{'s' if task.num_outputs > 1 else ''}"
    return "regression"


def _check(name: str, made: Source | DataBundle) -> None:
    entry, task = catalogue()[name], made.task
    assert entry.task == _task_words(task, name)
    shape = " x ".join(map(str, task.input_shape))
    assert entry.input == f"{task.input_kind} {shape}" + (f" + {len(task.cardinalities)}" if task.cardinalities else "")
    if isinstance(made, Source):
        test = "" if made.test_targets is None else f" + {len(made.test_targets):,}"
        assert entry.examples == f"{len(made.targets):,}{test}"
    else:
        assert entry.examples == LENGTHS[name]


def test_every_name_that_can_be_loaded_is_listed_once() -> None:
    names = [entry.name for entry in catalogue()]
    assert sorted(names) == sorted(DATA)
    assert len(names) == len(set(names)) == len(catalogue())


@pytest.mark.parametrize("name", BUILTIN)
def test_the_options_are_those_of_the_factory(name: str) -> None:
    assert catalogue()[name].options == tuple(options_of(DATA.get(name)))


@pytest.mark.parametrize("name", [*WITH_SKLEARN, *MADE])
def test_task_input_and_size_are_as_listed(name: str) -> None:
    _check(name, DATA.get(name)())


@pytest.mark.data
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if "jpeg" in n else n for n in ON_DISK])
def test_task_input_and_size_of_the_files_are_as_listed(data_root: Path, name: str) -> None:
    _check(name, DATA.get(name)(root=data_root))


@pytest.mark.data
def test_the_rows_of_a_series_are_as_listed(data_root: Path) -> None:
    for name, length in LENGTHS.items():
        path = data_root / catalogue()[name].files
        count = len(path.read_text()) if "characters" in length else len(path.read_text().strip().split("\n")) - 1
        assert f"{count:,}" == length.split()[0]


@pytest.mark.data
@pytest.mark.parametrize("name", ON_DISK)
def test_the_files_are_where_the_listing_says(data_root: Path, name: str) -> None:
    files = catalogue()[name].files
    if name != "mnist_to_usps":
        assert list(data_root.glob(files.removesuffix(", or a download")))


def test_the_listing_needs_neither_torch_nor_data(tmp_path: Path) -> None:
    code = (
        "import sys; from mlkit.data import catalogue; print(catalogue()); print(catalogue()['mnist']);"
        "heavy = {'torch', 'torchvision', 'sklearn', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    environment = {"MLKIT_DATA": str(tmp_path / "none"), "HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "image 1 x 28 x 28" in done.stdout


def test_the_table_fits_a_wide_terminal_and_its_columns_line_up() -> None:
    lines = str(catalogue()).split("\n")
    assert max(map(len, lines)) <= 120
    begin = lines[0].index("examples")
    rows = [line for line in lines if line.split(" ")[0] in BUILTIN]
    assert len(rows) == len(BUILTIN)
    assert all(row[begin - 1] == " " and row[begin] != " " for row in rows)


def test_one_entry_says_all_of_it() -> None:
    text = str(catalogue()["etth1"])
    for part in ("oil temperature", "CC BY-ND 4.0", "Zhou et al. 2021", "timeseries/ETTh1.csv", "borrow_context"):
        assert part in text


def test_an_unknown_name_gets_the_closest_one() -> None:
    with pytest.raises(ConfigError, match="unknown data set") as caught:
        catalogue()["minst"]
    assert "did you mean 'mnist'?" in str(caught.value)


def test_a_registered_data_set_is_listed_with_its_summary_and_options(registered: str) -> None:
    entry = catalogue()[registered]
    assert (entry.summary, entry.options) == ("Points of mine.", ("points",))
    assert registered in str(catalogue())
    assert "Registered by you" in str(catalogue())


def test_the_notebook_display_escapes_and_shows_everything(registered: str) -> None:
    shown = catalogue()._repr_html_()
    assert shown.count("<tr>") == 1 + len(catalogue()) + len(catalogue().families())
    assert "public for research, citation asked" in shown
    DATA._added[registered].__doc__ = "<script>"
    assert "<script>" not in catalogue()._repr_html_()


def test_it_turns_into_plain_values() -> None:
    content = catalogue().to_dict()
    assert content["mnist"]["examples"] == "60,000 + 10,000"
    assert list(content) == [entry.name for entry in catalogue()]


def test_every_data_set_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    for name in BUILTIN:
        assert f"`{name}`" in page
        assert name in YOURS or catalogue()[name].examples in page


def test_what_is_listed_can_be_loaded() -> None:
    assert load("iris").task.num_outputs == 3
