"""A folder of image files, one sub-folder a class: kept as tensors where they fit, read batch by batch where not.

Not here: which file goes to which split; that is decided by `mlkit.data.pipeline` before any image is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mlkit.data.bundle import DataBundle
from mlkit.data.fingerprint import hash_splits
from mlkit.data.pipeline import finish
from mlkit.data.source import Source
from mlkit.data.splits import Affine, Batch, Split, TensorSplit
from mlkit.data.standardize import byte_moments
from mlkit.errors import ConfigError, DataError
from mlkit.task import Task

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_PARTS = ("train", "val", "test")
_RESIDENT_BYTES = 1 << 30  # images that take up more than this are read batch by batch
_STATISTICS_IMAGES = 2048  # of a folder that is not kept in memory; the mean's standard error is then below 1 % of std

Mode = Literal["RGB", "L"]


@dataclass(frozen=True)
class ImageFiles:
    """Where the images are and how they are decoded.

    Args:
        folder: the folder they are all in.
        names: path of each, relative to ``folder``, with ``/``.
        size: height and width of what is decoded.
        mode: ``"RGB"`` or ``"L"`` (grey).
    """

    folder: Path
    names: tuple[str, ...]
    size: tuple[int, int]
    mode: Mode

    def decode(self, numbers: Iterable[int]) -> Tensor:
        """The images, uint8 ``(B, C, H, W)``, decoded by several threads."""
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            images = list(pool.map(self._decode_one, numbers))
        return torch.from_numpy(np.stack(images))

    def _decode_one(self, number: int) -> np.ndarray:
        from PIL import Image, ImageOps

        path = self.folder / self.names[number]
        try:
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file).convert(self.mode)
                if image.size != self.size[::-1]:
                    image = image.resize(self.size[::-1], Image.Resampling.BILINEAR)
                pixels = np.array(image)
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and their own
            raise _damaged(path, error) from None
        return pixels[None] if self.mode == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@dataclass(frozen=True)
class FileSplit:
    """Examples that stay on disk and are decoded when a batch is gathered.

    Args:
        files: all images of the folder.
        rows: int64 ``(N,)``: which of them are in this split.
        labels: int64 ``(N,)``.
        prepare: standardises a decoded batch, on the device.
    """

    files: ImageFiles
    rows: Tensor
    labels: Tensor
    prepare: Affine

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def targets(self) -> Tensor:
        return self.labels

    @property
    def device(self) -> torch.device:
        return self.labels.device

    def gather(self, index: Tensor) -> Batch:
        images = self.files.decode(self.rows[index.cpu()].tolist()).to(self.device, non_blocking=True)
        return Batch(self.prepare((images,)), self.labels.index_select(0, index))

    def subset(self, index: Tensor) -> FileSplit:
        """The examples at ``index``, in that order."""
        return replace(self, rows=self.rows[index.cpu()], labels=self.labels[index])

    def to(self, device: torch.device | str) -> FileSplit:
        return replace(self, labels=self.labels.to(device), prepare=self.prepare.to(device))

    def tensors(self) -> Mapping[str, Tensor]:
        """Names and sizes of the files instead of their pixels: reading all of them would take too long."""
        names = [self.files.names[row] for row in self.rows.tolist()]
        lines = "".join(f"{name}\t{(self.files.folder / name).stat().st_size}\n" for name in names)
        return {"files": torch.frombuffer(bytearray(lines.encode()), dtype=torch.uint8), "targets": self.labels}


def image_folder(
    path: str | Path,
    *,
    image_size: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    classes: Sequence[int | str] | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    resident_bytes: int = _RESIDENT_BYTES,
) -> DataBundle:
    """Images in one sub-folder a class, as ``path/cat/1.png``, or with given parts, as ``path/train/cat/1.png``.

    Args:
        path: the folder. Sub-folders ``train`` and, where they exist, ``val`` and ``test`` are used as such; the parts
            that do not exist are cut from ``train``, stratified by class.
        image_size: height and width that every image is resized to, whatever its shape; None: all must be of one size.
        seed: key of the split.
        limit: number of training examples to keep; the others are never read.
        classes: names or indices of the classes to keep.
        val_fraction: share held out for ``val``.
        test_fraction: share held out for ``test``.
        resident_bytes: a folder that decodes to more than this many bytes is not kept in memory: its images are decoded
            batch by batch, its mean and deviation come from 2,048 training images, and its fingerprint covers names,
            file sizes and labels, not pixels.

    Raises:
        DataError: no folder, no classes, no images, a damaged image (with its path), or images of several sizes.
        ConfigError: a setting that cannot be right.
    """
    folder = Path(path).expanduser()
    names, labels, parts, class_names = _scan(folder)
    mode, size = _look_at(folder / names[0])
    if image_size is not None and image_size < 1:
        raise ConfigError("data.image_size is too small", received=image_size, allowed="1 pixel or more")
    size = size if image_size is None else (image_size, image_size)
    files = ImageFiles(folder, names, size, mode)
    bundle = finish(
        _index_source(folder.name, labels, parts, class_names),
        seed=seed,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        limit=limit,
        classes=classes,
    )
    numbers = {name: split.tensors()["input0"] for name, split in bundle.splits()}
    channels = 1 if mode == "L" else 3
    if image_size is None:
        _check_one_size(files, torch.cat(list(numbers.values())).tolist())
    fits = sum(map(len, numbers.values())) * channels * size[0] * size[1] <= resident_bytes
    targets = {name: split.targets for name, split in bundle.splits()}
    splits = _resident(files, numbers, targets) if fits else _on_disk(files, numbers, targets)
    task = replace(bundle.task, input_kind="image", input_shape=(channels, *size))
    notes = {**bundle.notes, "storage": "in memory" if fits else "on disk, decoded batch by batch"}
    return DataBundle(
        name=folder.name,
        task=task,
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        fingerprint=hash_splits(task, splits.items()),
        notes=notes,
    )


def _resident(files: ImageFiles, numbers: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Split]:
    images = {name: files.decode(rows.tolist()) for name, rows in numbers.items()}
    prepare = _statistics(images["train"])
    return {name: TensorSplit((images[name],), targets[name], prepare) for name in numbers}


def _on_disk(files: ImageFiles, numbers: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Split]:
    train = numbers["train"]
    sample = train[:: max(1, len(train) // _STATISTICS_IMAGES)]
    prepare = _statistics(files.decode(sample.tolist()))
    return {name: FileSplit(files, rows, targets[name], prepare) for name, rows in numbers.items()}


def _statistics(images: Tensor) -> Affine:
    mean, std = byte_moments(images)
    return Affine.standardize(mean[:, None, None] / 255.0, std[:, None, None] / 255.0, unit=255.0)


def _index_source(name: str, labels: Tensor, parts: list[str], class_names: tuple[str, ...]) -> Source:
    """The numbers of the files as if they were the inputs, so that the pipeline splits them like any other data."""
    task = Task("classification", "other", (), len(class_names), class_names=class_names)
    rows = torch.arange(len(labels))
    where = {part: torch.tensor([given == part for given in parts]) for part in _PARTS}
    official = {part: where[part] for part in ("val", "test") if bool(where[part].any())}
    return Source(
        name,
        task,
        (rows[where["train"]],),
        labels[where["train"]],
        val_inputs=(rows[official["val"]],) if "val" in official else None,
        val_targets=labels[official["val"]] if "val" in official else None,
        test_inputs=(rows[official["test"]],) if "test" in official else None,
        test_targets=labels[official["test"]] if "test" in official else None,
    )


def _scan(folder: Path) -> tuple[tuple[str, ...], Tensor, list[str], tuple[str, ...]]:
    """All images in a fixed order: names, labels, which part each belongs to, and the classes by name."""
    if not folder.is_dir():
        raise DataError(
            "the image folder is not there",
            received=str(folder),
            allowed="a folder with one sub-folder a class",
            todo="set data.path to it",
        )
    has_parts = (folder / "train").is_dir()
    present = [part for part in _PARTS if (folder / part).is_dir()] if has_parts else [""]
    class_names = tuple(_sub_folders(folder / present[0]))
    names: list[str] = []
    labels: list[int] = []
    parts: list[str] = []
    for part in present:
        for class_name in _sub_folders(folder / part):
            if class_name not in class_names:
                raise DataError(
                    "a class has no training images",
                    received=str(folder / part / class_name),
                    allowed=", ".join(class_names),
                    todo=f"add the folder {folder / present[0] / class_name}, or remove this one",
                )
            found = _images_in(folder / part / class_name, folder)
            names += found
            labels += [class_names.index(class_name)] * len(found)
            parts += [part or "train"] * len(found)
    if len(class_names) < 2 or not names:
        raise DataError(
            "the image folder holds too few classes or no images",
            received=f"{folder}: {len(class_names)} sub-folders, {len(names)} images",
            allowed=f"one sub-folder a class, two or more, with {', '.join(_SUFFIXES)} files in them",
            todo="move the images of each class into a sub-folder with its name",
        )
    return tuple(names), torch.tensor(labels), parts, class_names


def _sub_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images_in(folder: Path, root: Path) -> list[str]:
    files = (file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."))
    return sorted(file.relative_to(root).as_posix() for file in files)


def _look_at(path: Path) -> tuple[Mode, tuple[int, int]]:
    """Whether the first image is grey, and its height and width; it stands for the others."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return ("L" if image.mode in ("1", "L", "I;16") else "RGB"), (image.height, image.width)
    except Exception as error:
        raise _damaged(path, error) from None


def _check_one_size(files: ImageFiles, numbers: list[int]) -> None:
    """Read the headers alone: without ``image_size`` all images must be of one size."""
    for number in numbers:
        path = files.folder / files.names[number]
        _, size = _look_at(path)
        if size != files.size:
            raise DataError(
                "the images are of several sizes",
                received=f"{path}: {size[0]} x {size[1]}",
                allowed=f"{files.size[0]} x {files.size[1]}, as {files.names[0]}",
                todo="set data.image_size, such as 64, to resize them all",
            )


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return DataError(
        "an image cannot be read",
        received=f"{path}: {reason}",
        allowed="a whole image file that Pillow can decode",
        todo="repair the file or remove it",
    )
