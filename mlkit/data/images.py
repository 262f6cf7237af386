"""The well-known image data sets, as compact uint8 tensors: MNIST, Fashion-MNIST, USPS, CIFAR-10.

The files are those of torchvision and read by its readers; what is missing is downloaded where there is internet.
Not here: folders of image files (`mlkit.data.folder`), splits and statistics (`mlkit.data.pipeline`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mlkit.data.load import find_root
from mlkit.data.pipeline import resize_images
from mlkit.data.source import Source
from mlkit.errors import DataError
from mlkit.task import Task

_DIGITS = tuple(map(str, range(10)))
_CLOTHES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

T = TypeVar("T")
Examples = tuple[Tensor, Tensor]  # uint8 images (N, C, H, W), int64 classes (N,)


def mnist(*, root: str | Path | None = None, download: bool = True) -> Source:
    """MNIST: 70,000 grey handwritten digits of 28 x 28 pixels, 10 classes, 10,000 of them the official test part.

    Args:
        root: folder that holds ``MNIST/raw``; see `mlkit.data.load.find_root`.
        download: fetch missing files, where there is internet.

    Raises:
        DataError: a file is missing and cannot be fetched, or is damaged; with its path.

    Source: LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition.
    """
    train, test = _idx_pair("MNIST", root, download=download)
    return _images("mnist", _DIGITS, train, test, origin="LeCun, Cortes, Burges")


def fashion_mnist(*, root: str | Path | None = None, download: bool = True) -> Source:
    """Fashion-MNIST: 70,000 grey pictures of clothes of 28 x 28 pixels, 10 balanced classes, 10,000 the official test.

    Arguments and errors as `mnist`, in the folder ``FashionMNIST/raw``.

    Source: Xiao, Rasul, Vollgraf 2017, Fashion-MNIST (arXiv:1708.07747).
    """
    train, test = _idx_pair("FashionMNIST", root, download=download)
    return _images("fashion_mnist", _CLOTHES, train, test, origin="Zalando Research, MIT licence")


def usps(*, root: str | Path | None = None, download: bool = True) -> Source:
    """USPS: 9,298 grey handwritten digits of 16 x 16 pixels from envelopes, 10 classes, 2,007 the official test part.

    Arguments and errors as `mnist`, in the folder ``USPS``.

    Source: Hull 1994, A database for handwritten text recognition research.
    """
    train, test = _usps_part(root, train=True, download=download), _usps_part(root, train=False, download=download)
    return _images("usps", _DIGITS, train, test, origin="Hull 1994")


def mnist_to_usps(*, root: str | Path | None = None, download: bool = True) -> Source:
    """MNIST to USPS: train and val are MNIST; target_val and test are USPS, resized to 28 x 28: a natural shift.

    Arguments and errors as `mnist`. All of MNIST is trained on, and all 9,298 digits of USPS are held out.
    """
    parts = _idx_pair("MNIST", root, download=download)
    pixels, classes = map(torch.cat, zip(*parts, strict=True))
    other = [_usps_part(root, train=train, download=download) for train in (True, False)]
    other_pixels, other_classes = map(torch.cat, zip(*other, strict=True))
    test = (resize_images(other_pixels, 28), other_classes)
    return _images("mnist_to_usps", _DIGITS, (pixels, classes), test, origin="MNIST and USPS", shifted_test=True)


def cifar10(*, root: str | Path | None = None, download: bool = True) -> Source:
    """CIFAR-10: 60,000 colour photographs of 32 x 32 pixels, 10 balanced classes, 10,000 the official test part.

    Arguments and errors as `mnist`, in the folder ``cifar-10-batches-py``; torchvision checks the files' hashes.

    Source: Krizhevsky 2009, Learning multiple layers of features from tiny images.
    """
    from torchvision.datasets import CIFAR10

    folder = find_root(root)
    path = folder / "cifar-10-batches-py"

    def read(*, train: bool) -> Examples:
        data = CIFAR10(folder, train=train, download=False)
        return torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets)

    if not path.is_dir():
        _fetch("CIFAR-10", path, lambda: CIFAR10(folder, train=True, download=True), download=download)
    train, test = (_reading("CIFAR-10", path, lambda part=part: read(train=part)) for part in (True, False))
    return _images("cifar10", _CIFAR10, train, test, origin="Krizhevsky 2009")


def cifar10_jpeg(*, root: str | Path | None = None) -> Source:
    """CIFAR-10 from JPEG copies: the same photographs, order and labels, but not the original pixels.

    Accuracies on it are not comparable with published ones without saying so.

    Args:
        root: folder that holds ``cifar10_jpeg/train.npz`` and ``test.npz``: ``jpeg`` (bytes, one after the other),
            ``start`` (where each begins, and the end) and ``labels``.

    Raises:
        DataError: a file is missing or damaged; with its path, and the number of the image.
    """
    folder = find_root(root) / "cifar10_jpeg"
    train, test = _jpegs(folder / "train.npz"), _jpegs(folder / "test.npz")
    return _images("cifar10_jpeg", _CIFAR10, train, test, origin="JPEG copies of CIFAR-10: lossy")


def _images(
    name: str, classes: tuple[str, ...], train: Examples, test: Examples, *, origin: str, shifted_test: bool = False
) -> Source:
    task = Task("classification", "image", tuple(train[0].shape[1:]), len(classes), class_names=classes)
    return Source(
        name,
        task,
        (train[0],),
        train[1],
        test_inputs=(test[0],),
        test_targets=test[1],
        standardize="channel",
        unit=255.0,
        shifted_test=shifted_test,
        notes={"source": origin},
    )


def _idx_pair(name: str, root: str | Path | None, *, download: bool) -> tuple[Examples, Examples]:
    """Train and test of a data set in the IDX files of MNIST."""
    from torchvision import datasets
    from torchvision.datasets.mnist import read_image_file, read_label_file

    folder = find_root(root)

    def read(prefix: str) -> Examples:
        images, labels = (folder / name / "raw" / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        for path in (images, labels):
            if not path.is_file():
                _fetch(name, path, lambda: getattr(datasets, name)(folder, download=True), download=download)
        pixels = _reading(name, images, lambda: read_image_file(str(images)))
        return pixels[:, None], _reading(name, labels, lambda: read_label_file(str(labels)))

    return read("train"), read("t10k")


def _usps_part(root: str | Path | None, *, train: bool, download: bool) -> Examples:
    from torchvision.datasets import USPS

    folder = find_root(root) / "USPS"
    path = folder / ("usps.bz2" if train else "usps.t.bz2")
    if not path.is_file():
        _fetch("USPS", path, lambda: USPS(folder, train=train, download=True), download=download)
    data = _reading("USPS", path, lambda: USPS(folder, train=train, download=False))
    return torch.from_numpy(data.data)[:, None], torch.tensor(data.targets)


def _jpegs(path: Path) -> Examples:
    from PIL import Image

    if not path.is_file():
        raise _missing("CIFAR-10 (JPEG copy)", path, "there is no public download of it")

    def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.load(path, allow_pickle=False) as content:
            return content["jpeg"], content["start"], content["labels"]

    def decode(number: int) -> np.ndarray:
        with Image.open(io.BytesIO(jpeg[start[number] : start[number + 1]].tobytes())) as image:
            return np.asarray(image.convert("RGB"))

    jpeg, start, labels = _reading("CIFAR-10 (JPEG copy)", path, arrays)
    images = np.empty((len(labels), 3, 32, 32), dtype=np.uint8)
    for number in range(len(labels)):
        what = f"CIFAR-10 (JPEG copy), image {number}"
        images[number] = _reading(what, path, lambda number=number: decode(number).transpose(2, 0, 1))
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def _reading(name: str, path: Path, read: Callable[[], T]) -> T:
    """Call ``read``; whatever a damaged file makes a reader raise becomes one error that names the file."""
    try:
        return read()
    except Exception as error:  # readers raise assertions, struct, zip, bz2, value and index errors alike
        reason = str(error).strip().split("\n")[0]
        size = f"{path.stat().st_size:,} bytes; " if path.is_file() else ""
        raise DataError(
            f"{name}: a file cannot be read",
            received=f"{path} ({size}{type(error).__name__}{': ' if reason else ''}{reason})",
            allowed="the whole file, as it was distributed",
            todo="it is damaged or was cut off: delete it and get it again",
        ) from None


def _fetch(name: str, path: Path, fetch: Callable[[], object], *, download: bool) -> None:
    """Download a missing file by torchvision's own means, or say what is missing."""
    if not download:
        raise _missing(name, path, "download=False")
    try:
        fetch()
    except Exception as error:  # no network, an unwritable folder, a mirror that is gone
        reason = str(error).strip().split("\n")[0]
        raise _missing(name, path, f"the download failed ({reason or type(error).__name__})") from None
    if not path.exists():
        raise _missing(name, path, "the download did not bring it")


def _missing(name: str, path: Path, reason: str) -> DataError:
    return DataError(
        f"{name}: the data are not there",
        received=f"no {'folder' if not path.suffix and 'batches' in path.name else 'file'} {path}; {reason}",
        allowed="a folder that holds the files, or internet to download them",
        todo="set data.root, or the environment variable MLKIT_DATA, to the folder that holds them; "
        "data=digits needs no files",
    )
