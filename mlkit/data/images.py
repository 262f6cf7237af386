"""The well-known image data sets, as compact uint8 tensors: MNIST, Fashion-MNIST, USPS, CIFAR-10.

The files are those of torchvision, which downloads what is missing where there is internet. The simple formats are read
here: importing torchvision takes a second, longer than reading MNIST. Not here: folders of image files
(`mlkit.data.folder`), splits and statistics (`mlkit.data.pipeline`).
"""

from __future__ import annotations

import bz2
import io
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mlkit.data.load import find_root
from mlkit.data.pipeline import resize_images
from mlkit.data.reading import missing_data
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
_CIFAR10_FOLDER = "cifar-10-batches-py"
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_PATIENCE = 10.0  # seconds to wait for an answer of a server: a network that drops packets would take minutes
_IDX_BYTES = 0x08  # the only element type among the ten of the format that MNIST's files use

_USPS_INDICES = [str(number) for number in range(1, 257)]

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

    def read(*, train: bool) -> Examples:
        data = CIFAR10(folder, train=train, download=False)
        return torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets)

    path = _file("CIFAR-10", root, _CIFAR10_FOLDER, fetch=lambda: CIFAR10(folder, download=True), download=download)
    train = _reading("CIFAR-10", path, lambda: read(train=True))
    test = _reading("CIFAR-10", path, lambda: read(train=False))
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
    train, test = _jpegs(root, "train.npz"), _jpegs(root, "test.npz")
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

    def fetch() -> object:
        from torchvision import datasets

        return getattr(datasets, name)(find_root(root), download=True)

    def read(prefix: str) -> Examples:
        names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
        images, labels = (_file(name, root, name, "raw", file, fetch=fetch, download=download) for file in names)
        pixels = _reading(name, images, lambda: read_idx(images, axes=3))
        classes = _reading(name, labels, lambda: read_idx(labels, axes=1))
        if len(pixels) != len(classes):
            raise _damaged(name, labels, f"{len(classes):,} labels for {len(pixels):,} images")
        return pixels[:, None], classes.long()

    return read("train"), read("t10k")


def read_idx(path: Path, *, axes: int) -> Tensor:
    """A uint8 tensor from a file in the IDX format of MNIST.

    Args:
        path: the file, uncompressed.
        axes: how many axes it should have.

    Raises:
        ValueError: another format, element type or number of axes, or more or fewer bytes than the header says.

    Source: LeCun, Cortes, Burges, The MNIST database; the header is two zero bytes, the element type, the number of
    axes, then the length of each axis as a big-endian 32-bit number.
    """
    content = path.read_bytes()
    begin = 4 + 4 * axes
    expected = bytes([0, 0, _IDX_BYTES, axes])
    if content[:4] != expected:
        hint = "; it is still compressed" if content[:2] == b"\x1f\x8b" else ""
        raise ValueError(f"it begins with {content[:4].hex(' ') or 'nothing'}, not with {expected.hex(' ')}{hint}")
    if len(content) < begin:
        raise ValueError("its header is cut off")
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, begin, 4)]
    length = int(np.prod(shape, dtype=np.int64))
    if len(content) - begin != length:
        raise ValueError(f"{' x '.join(map(str, shape))} values need {begin + length:,} bytes")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=begin).reshape(shape).copy())


def _usps_part(root: str | Path | None, *, train: bool, download: bool) -> Examples:
    def fetch() -> object:
        from torchvision.datasets import USPS

        return USPS(find_root(root) / "USPS", train=train, download=True)

    file = "usps.bz2" if train else "usps.t.bz2"
    path = _file("USPS", root, "USPS", file, fetch=fetch, download=download)
    return _reading("USPS", path, lambda: read_usps(path))


def read_usps(path: Path) -> Examples:
    """The digits of a libsvm file: on each line the class, 1 to 10, and ``index:value`` for 256 values in -1 to 1.

    The pixels are those of torchvision's reader: ``(value + 1) / 2 * 255``, cut down to a whole number.

    Raises:
        ValueError: a line that is not of this form; with its number.
        OSError, EOFError: not a bz2 file, or one that was cut off.
    """
    lines = bz2.decompress(path.read_bytes()).decode("ascii").splitlines()
    pixels, classes = np.empty((len(lines), 256), dtype=np.float32), []
    for number, line in enumerate(lines):
        label, *cells = line.split()
        values = [cell.partition(":") for cell in cells]
        if [index for index, _, _ in values] != _USPS_INDICES or label not in _USPS_INDICES[:10]:
            raise ValueError(f"line {number + 1}: not a class from 1 to 10 and the values 1: to 256:")
        pixels[number] = [value for _, _, value in values]
        classes.append(int(label) - 1)
    if not np.abs(pixels).max(initial=0.0) <= 1.0:  # NaN is not
        raise ValueError("a value outside -1 to 1")
    images = ((pixels + 1) / 2 * 255).astype(np.uint8).reshape(-1, 1, 16, 16)
    return torch.from_numpy(images), torch.tensor(classes)


def _jpegs(root: str | Path | None, file: str) -> Examples:
    from PIL import Image

    name = "CIFAR-10 (JPEG copy)"
    path = _file(name, root, "cifar10_jpeg", file)

    def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Opened here, since NumPy leaves a file open that turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return content["jpeg"], content["start"], content["labels"]

    jpeg, start, labels = _reading(name, path, arrays)
    if jpeg.dtype != np.uint8 or start.shape != (len(labels) + 1,) or labels.dtype.kind not in "iu":
        raise _damaged(name, path, f"{len(labels)} labels, {len(start)} starts, jpeg of {jpeg.dtype}")

    def decode(number: int) -> np.ndarray:
        with Image.open(io.BytesIO(jpeg[start[number] : start[number + 1]].tobytes())) as image:
            pixels = np.asarray(image.convert("RGB"))
        if pixels.shape != (32, 32, 3):
            raise ValueError(f"{pixels.shape[0]} x {pixels.shape[1]} pixels")
        return pixels.transpose(2, 0, 1)

    images = np.empty((len(labels), 3, 32, 32), dtype=np.uint8)
    for number in range(len(labels)):
        images[number] = _reading(f"{name}, image {number}", path, partial(decode, number))
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def _reading(name: str, path: Path, read: Callable[[], T]) -> T:
    """Call ``read``; whatever a damaged file makes a reader raise becomes one error that names the file."""
    try:
        return read()
    except Exception as error:  # readers raise assertions, struct, zip, bz2, value and index errors alike
        raise _damaged(name, path, _reason(error)) from None


def _damaged(name: str, path: Path, reason: str) -> DataError:
    size = f"{path.stat().st_size:,} bytes; " if path.is_file() else ""
    return DataError(
        f"{name}: a file cannot be read",
        received=f"{path} ({size}{reason})",
        allowed="the whole file, as it was distributed",
        todo="it is damaged or was cut off: delete it and get it again",
    )


def _file(
    name: str, root: str | Path | None, *parts: str, fetch: Callable[[], object] | None = None, download: bool = False
) -> Path:
    """A file of the catalogue, downloaded by torchvision's own means if it is missing and that is allowed."""
    path = find_root(root).joinpath(*parts)
    if path.exists():
        return path
    reason = "download=False" if fetch is not None else "mlkit does not download this data set"
    if fetch is not None and download:
        try:
            with _patience():
                fetch()
        except Exception as error:  # no network, an unwritable folder, a mirror that is gone
            reason = f"the download failed: {_reason(error)}"
        else:
            reason = "the download did not bring it"
    if not path.exists():
        raise missing_data(name, root, *parts, reason=reason)
    return path


@contextmanager
def _patience() -> Iterator[None]:
    """Sockets that give up: torchvision sets no time limit, and without a network a connection may hang for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    """Why it failed, in one line and without the wrapping that urllib and torchvision put around it."""
    text = str(error).strip()
    offline = re.findall(r"<urlopen error (?:\[Errno -?\d+\] )?(.*?)>", text)
    if offline:
        return f"no connection ({offline[-1]})"
    first = text.split("\n")[0]
    return first if isinstance(error, ValueError) and first else f"{type(error).__name__}{': ' if first else ''}{first}"
