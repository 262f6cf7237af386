"""A folder of image files, one sub-folder a class: kept as tensors where they fit, read batch by batch where not.

Not here: which file goes to which split; that is decided by `mlkit.data.pipeline` before any image is read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from mlkit.data.bundle import DataBundle, SplitName
from mlkit.data.fingerprint import hash_splits
from mlkit.data.pipeline import finish
from mlkit.data.source import Source
from mlkit.data.splits import Affine, Batch, Split, TensorSplit
from mlkit.data.standardize import byte_moments
from mlkit.errors import ConfigError, DataError
from mlkit.task import Task

if TYPE_CHECKING:
    from PIL import Image

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_PARTS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}  # and what they are called
_RESIDENT_BYTES = 1 << 30  # images that take up more than this are read batch by batch
_STATISTICS_IMAGES = 2048  # of a folder that is not kept in memory; the mean's standard error is about 2 % of std
_ORIENTATION = 0x0112  # the EXIF tag
_TURNED = (5, 6, 7, 8)  # its values that swap height and width

Mode = Literal["RGB", "L"]
Rows = Mapping[SplitName, Tensor]  # int64: the numbers of the images in each split


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
        numbers = list(numbers)
        images = torch.empty((len(numbers), self.channels, *self.size), dtype=torch.uint8)
        pixels = images.numpy()

        def decode(place: int) -> None:
            pixels[place] = self._decode_one(numbers[place])

        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            list(pool.map(decode, range(len(numbers))))
        return images

    @property
    def channels(self) -> int:
        return 1 if self.mode == "L" else 3

    def _decode_one(self, number: int) -> np.ndarray:
        from PIL import Image, ImageOps

        path = self.folder / self.names[number]
        try:
            with Image.open(path) as file:
                image = _as_bytes(ImageOps.exif_transpose(file)).convert(self.mode)
                if image.size != self.size[::-1]:
                    image = image.resize(self.size[::-1], Image.Resampling.BILINEAR)
                pixels = np.array(image)
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and their own
            raise _damaged(path, error) from None
        return pixels[None] if self.mode == "L" else pixels.transpose(2, 0, 1)


@dataclass(frozen=True, eq=False)  # tensors have no single truth value to compare by
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
        return {
            "files": torch.frombuffer(bytearray(lines.encode()), dtype=torch.uint8),
            "targets": self.labels,
            "scale": self.prepare.scale,
            "shift": self.prepare.shift,
        }


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
        path: the folder. Sub-folders ``train`` and, where they exist, ``val`` (or ``valid``, ``validation``) and
            ``test`` are used as such; the parts that do not exist are cut from ``train``, stratified by class.
        image_size: height and width that every image is resized to, whatever its shape; None: all must be of one size.
        seed: key of the split.
        limit: number of training examples to keep; the others are never read.
        classes: names or indices of the classes to keep.
        val_fraction: share held out for ``val``.
        test_fraction: share held out for ``test``.
        resident_bytes: a folder that decodes to more than this many bytes is not kept in memory: its images are decoded
            batch by batch, its mean and deviation come from 2,048 training images, and its fingerprint covers names,
            file sizes and labels, not pixels.

    Returns:
        Images of one channel where all files are grey, else of three; transparency is left out, and of 16 bits a pixel
        the upper 8 are kept. Files without the suffix of an image are passed over.

    Raises:
        DataError: no folder, no classes, no images, a damaged image (with its path), or images of several sizes.
        ConfigError: a setting that cannot be right.
    """
    if image_size is not None and image_size < 1:
        raise ConfigError("data.image_size is too small", received=image_size, allowed="1 pixel or more")
    folder = Path(path).expanduser()
    names, labels, parts, class_names = _scan(folder)
    bundle = finish(
        _index_source(folder.resolve().name, labels, parts, class_names),
        seed=seed,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        limit=limit,
        classes=classes,
    )
    rows: Rows = {name: split.tensors()["input0"] for name, split in bundle.splits()}
    files = _look_through(folder, names, torch.cat(list(rows.values())).tolist(), image_size)
    shape = (files.channels, *files.size)
    fits = sum(map(len, rows.values())) * math.prod(shape) <= resident_bytes
    targets: Rows = {name: split.targets for name, split in bundle.splits()}
    splits = _resident(files, rows, targets) if fits else _on_disk(files, rows, targets)
    task = replace(bundle.task, input_kind="image", input_shape=shape)
    notes = {**bundle.notes, "storage": "in memory" if fits else "on disk, decoded batch by batch"}
    return DataBundle(
        name=bundle.name,
        task=task,
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        fingerprint=hash_splits(task, splits.items()),
        notes={"source": str(folder), **notes},
    )


def _resident(files: ImageFiles, rows: Rows, targets: Rows) -> Mapping[SplitName, Split]:
    images = {name: files.decode(numbers.tolist()) for name, numbers in rows.items()}
    prepare = _statistics(images["train"])
    return {name: TensorSplit((images[name],), targets[name], prepare) for name in rows}


def _on_disk(files: ImageFiles, rows: Rows, targets: Rows) -> Mapping[SplitName, Split]:
    train = rows["train"]
    sample = train[:: -(-len(train) // _STATISTICS_IMAGES)]  # ascending, so that it runs through all classes
    prepare = _statistics(files.decode(sample.tolist()))
    return {name: FileSplit(files, numbers, targets[name], prepare) for name, numbers in rows.items()}


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
    where = _part_folders(folder)
    class_names = tuple(_sub_folders(where["train"]))
    names: list[str] = []
    labels: list[int] = []
    parts: list[str] = []
    for part, place in where.items():
        for class_name in _sub_folders(place):
            found = _images_in(place / class_name, folder)
            _check_class(class_name, class_names, found, part, where)
            names += found
            labels += [class_names.index(class_name)] * len(found)
            parts += [part] * len(found)
    if len(class_names) < 2 or not names:
        raise DataError(
            "the image folder holds too few classes or no images",
            received=f"{folder}: {len(class_names)} sub-folders, {len(names)} images",
            allowed=f"one sub-folder a class, two or more, with {', '.join(_SUFFIXES)} files in them",
            todo="move the images of each class into a sub-folder with its name",
        )
    return tuple(names), torch.tensor(labels), parts, class_names


def _part_folders(folder: Path) -> dict[str, Path]:
    """Where each part is; a folder ``train`` that holds images itself is a class of that name."""
    if not (folder / "train").is_dir() or not _sub_folders(folder / "train"):
        return {"train": folder}
    there = {part: [folder / name for name in names if (folder / name).is_dir()] for part, names in _PARTS.items()}
    return {part: folders[0] for part, folders in there.items() if folders}


def _check_class(
    name: str, class_names: Sequence[str], images: Sequence[str], part: str, where: Mapping[str, Path]
) -> None:
    train = where["train"] / name
    if name not in class_names:
        raise DataError(
            "a class has no training images",
            received=str(where[part] / name),
            allowed=", ".join(class_names),
            todo=f"add the folder {train}, or remove this one",
        )
    if part == "train" and not images:
        raise DataError(
            "a class has no training images",
            received=f"{train}: no image in it",
            allowed=f"{', '.join(_SUFFIXES)} files",
            todo="put images there; or move the folder away, if it is not a class",
        )


def _sub_folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError("a folder cannot be read", received=f"{folder}: {error.strerror}") from None


def _images_in(folder: Path, root: Path) -> list[str]:
    files = (file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."))
    return sorted(file.relative_to(root).as_posix() for file in files)


def _look_through(folder: Path, names: tuple[str, ...], numbers: Sequence[int], image_size: int | None) -> ImageFiles:
    """How the images at ``numbers`` are decoded, from their headers alone: grey if all are, and of one size."""
    grey, first = _look_at(folder / names[numbers[0]])
    for number in numbers[1:]:
        if image_size is not None and not grey:
            break
        is_grey, size = _look_at(folder / names[number])
        grey = grey and is_grey
        if image_size is None and size != first:
            raise DataError(
                "the images are of several sizes",
                received=f"{folder / names[number]}: {size[0]} x {size[1]}",
                allowed=f"{first[0]} x {first[1]}, as {names[numbers[0]]}",
                todo="set data.image_size, such as 64, to resize them all",
            )
    return ImageFiles(folder, names, first if image_size is None else (image_size, image_size), "L" if grey else "RGB")


def _look_at(path: Path) -> tuple[bool, tuple[int, int]]:
    """Whether the image is grey, and its height and width as it is meant to be seen."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            height, width = image.height, image.width
            # Pillow would decode the whole image to find out that there is no orientation.
            if "exif" in image.info and image.getexif().get(_ORIENTATION) in _TURNED:
                height, width = width, height
            return image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I"), (height, width)
    except Exception as error:  # as for decoding
        raise _damaged(path, error) from None


def _as_bytes(image: Image.Image) -> Image.Image:
    """The image in a mode that Pillow turns into bytes without loss of range."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is not known")
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow would cut them off at 255 instead of scaling
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("it has more than 16 bits a pixel")
        from PIL import Image

        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:  # Pillow warns of the direct way
        return image.convert("RGBA")
    return image


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    if type(error).__name__ == "UnidentifiedImageError":  # whose text only repeats the path
        reason = "not an image that is known"
    return DataError(
        "an image cannot be read",
        received=f"{path}: {reason}",
        allowed="a whole image file that Pillow can decode",
        todo="repair the file or remove it",
    )
