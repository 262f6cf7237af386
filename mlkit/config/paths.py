"""Where the configuration files are: ours, in a checkout or in the installed package, and the user's own ``./configs``.

Not here: what is in them.
"""

from __future__ import annotations

from pathlib import Path

from mlkit.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]


def config_dir() -> Path:
    """The folder of mlkit's own configuration files: inside an installed package, beside it in a checkout.

    Raises:
        ConfigError: it is in neither place, so the installation is not whole.
    """
    for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(
        "mlkit's configuration files are missing",
        received=str(_PACKAGE / "configs"),
        todo="install mlkit again: pip install --force-reinstall mlkit-torch",
    )


def user_config_dir() -> Path | None:
    """The user's ``./configs``, whose files add choices; None where there is none or it is mlkit's own."""
    folder = Path("configs").resolve()
    return folder if folder.is_dir() and folder != config_dir().resolve() else None


def choices_on_disk(group: str) -> list[str]:
    """Names of the YAML files of a group, ours and the user's."""
    folders = [config_dir(), user_config_dir()]
    return sorted({file.stem for folder in folders if folder is not None for file in (folder / group).glob("*.yaml")})
