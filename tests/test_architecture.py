from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import mlkit

PACKAGE = Path(mlkit.__file__).parent
ROOT = PACKAGE.parent

# Lower floors first. A room may import from its own floor only where the two stand in ALLOWED_WITHIN, and from below.
FLOORS = (
    {"errors", "registry", "runtime", "task", ""},
    {"models", "data", "metrics"},
    {"engine"},
    {"population", "tracking", "progress"},
    {"debug", "evaluate", "search"},
    {"report"},
    {"config"},
    {"train", "watch", "__main__"},
)
ALLOWED_WITHIN = {
    ("registry", "errors"),
    ("runtime", "errors"),
    ("runtime", ""),  # the version
    ("progress", "tracking"),
}
OPTIONAL = (
    "mlflow",
    "wandb",
    "matplotlib",
    "sklearn",
    "torchvision",
    "tensorboard",
    "rich",
    "IPython",
    "safetensors",
    "PIL",
    "optuna",
    "scipy",
    "pandas",
)


def _room(module: str) -> str:
    parts = module.split(".")
    if parts[-1] == "__main__":  # `python -m mlkit.search` is a command, wherever its file stands
        return "__main__"
    return parts[1] if len(parts) > 1 else ""


def _floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def _files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(tree: ast.AST, *, at_import_only: bool = False) -> list[str]:
    """Modules imported anywhere in a file, those for type checkers left out; or only those imported with it."""
    found: list[str] = []
    for node in ast.iter_child_nodes(tree):
        if _is_type_checking(node):
            continue
        if at_import_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            found += [f"mlkit.{alias.name}" for alias in node.names] if module == "mlkit" else [module]
        else:
            found += _imports(node, at_import_only=at_import_only)
    return found


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_only_go_down(file: Path) -> None:
    own = _room(".".join(("mlkit", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"))
    for module in _imports(ast.parse(file.read_text())):
        if module.split(".")[0] != "mlkit":
            continue
        other = _room(module) if module != "mlkit.__version__" else ""
        if other == own or (own, other) in ALLOWED_WITHIN or own == "":
            continue
        assert _floor(other) < _floor(own), f"{own or 'mlkit'} must not import {module}"


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_config_knows_hydra(file: Path) -> None:
    for module in _imports(ast.parse(file.read_text())):
        if module.split(".")[0] in ("hydra", "omegaconf"):
            assert file.is_relative_to(PACKAGE / "config")


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_optional_is_imported_with_a_module(file: Path) -> None:
    for module in _imports(ast.parse(file.read_text()), at_import_only=True):
        assert module.split(".")[0] not in OPTIONAL, f"{module} is to be imported where it is used"


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_open_with_what_they_are_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text())), "a file opens with what it is for"


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_file_is_too_long_to_read(file: Path) -> None:
    # The settings of all models and data sets are one list on purpose.
    limit = 520 if file.name == "choices.py" else 400
    assert len(file.read_text().splitlines()) <= limit


def _loaded(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_mlkit_loads_nothing() -> None:
    assert _loaded("import mlkit") <= {"mlkit", "__future__", "importlib", "typing"} | set(sys.stdlib_module_names)


def test_help_needs_neither_torch_nor_hydra() -> None:
    loaded = _loaded("import mlkit.config.command, mlkit.config.explain; mlkit.config.explain.help_text()")
    assert not loaded & {"torch", "hydra", "omegaconf", "numpy"}


def test_the_engine_loads_no_tools() -> None:
    loaded = _loaded("from mlkit.engine import fit")
    assert not loaded & {"hydra", "omegaconf", "tensorboard", "rich", "torchvision", "sklearn", "matplotlib"}


@pytest.mark.parametrize("name", mlkit.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(mlkit, name) is not None


@pytest.mark.parametrize(
    "room", ["data", "engine", "metrics", "models", "population", "evaluate", "search", "report", "tracking", "config"]
)
def test_every_public_name_of_a_room_exists(room: str) -> None:
    module = __import__(f"mlkit.{room}", fromlist=["x"])
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize(
    "file", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda file: str(file.relative_to(ROOT))
)
def test_every_file_of_settings_composes(file: Path) -> None:
    from mlkit.config.compose import composer

    group, name = file.parent.name, file.stem
    overrides = [] if group == "configs" else [f"{group}={name}"]
    needed = {
        "csv": ["data.path=README.md", "data.target=y"],
        "forecast_csv": ["data.path=README.md", "data.target=y", "data.context=3"],
        "text_file": ["data.path=README.md"],
        "image_folder": ["data.path=tests"],
        "step": ["schedule.step_every=10"],
        "lstm": ["data=names"],
    }
    with composer() as session:
        composed, problems = session.compose([*overrides, *(needed.get(name, []) if group != "experiment" else [])])
    assert not [problem for problem in problems if "is not installed" not in problem.what]
    assert composed is not None


def test_every_file_of_settings_says_what_it_is_for() -> None:
    for file in sorted((ROOT / "configs").rglob("*.yaml")):
        lines = file.read_text().splitlines()
        comment = lines[1] if lines[0].startswith("# @package") else lines[0]
        assert comment.startswith("# "), file
        assert yaml.safe_load(file.read_text()), file


def test_every_choice_has_a_file_and_the_other_way_round() -> None:
    from mlkit.config.choices import CHOICES

    for kind, choices in CHOICES.items():
        assert {file.stem for file in (ROOT / "configs" / kind).glob("*.yaml")} == set(choices)
