from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(command, cwd=ROOT, check=True)
    [file] = folder.glob("*.whl")
    return file


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_settings_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"mlkit", f"{wheel.name.split('-py3')[0]}.dist-info"}
    shipped = {name.removeprefix("mlkit/configs/") for name in names if name.startswith("mlkit/configs/")}
    assert shipped == {
        str(file.relative_to(ROOT / "configs")) for file in (ROOT / "configs").rglob("*") if file.is_file()
    }
    assert "mlkit/py.typed" in names


@pytest.mark.slow
def test_the_installed_wheel_trains_in_another_directory(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)], check=True
    )
    command = [
        sys.executable,
        "-m",
        "mlkit.train",
        "experiment=digits_lenet",
        "trainer.max_epochs=1",
        "hydra.run.dir=run",
    ]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = subprocess.run(
        [sys.executable, "-c", "import mlkit; print(mlkit.__file__)"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
    subprocess.run(command, cwd=work, env=environment, check=True)
    assert json.loads((work / "run" / "result.json").read_text())["status"] == "completed"
