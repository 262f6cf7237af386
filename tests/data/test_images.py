from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import pickle
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlkit.data import images as catalogue
from mlkit.data import load
from mlkit.data.images import read_idx, read_usps
from mlkit.errors import DataError

PARTS = ("train", "t10k")


def _idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def _mnist(root: Path, name: str = "MNIST") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    content = {}
    for part, n in zip(PARTS, (40, 20), strict=True):
        pixels = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(_idx(pixels))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(_idx(labels))
        content[part] = (pixels, labels)
    return content


def _usps_line(label: int, values: np.ndarray) -> str:
    return f"{label} " + " ".join(f"{number}:{value:.4f}" for number, value in enumerate(values, start=1)) + " \n"


def _usps(root: Path, n: int = 20) -> dict[str, np.ndarray]:
    (root / "USPS").mkdir()
    content = {}
    for file in ("usps.bz2", "usps.t.bz2"):
        values = np.random.default_rng(len(file)).uniform(-1, 1, (n, 256)).round(4)
        text = "".join(_usps_line(1 + row % 10, line) for row, line in enumerate(values))
        (root / "USPS" / file).write_bytes(bz2.compress(text.encode()))
        content[file] = values
    return content


def _jpeg(pixels: np.ndarray, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _jpegs(root: Path, **changes: object) -> list[np.ndarray]:
    (root / "cifar10_jpeg").mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    parts = [_jpeg(image, "PNG") for image in pixels]  # exact, so that the pixels can be compared
    content = {
        "jpeg": np.frombuffer(b"".join(parts), dtype=np.uint8),
        "start": np.cumsum([0, *map(len, parts)]),
        "labels": np.arange(10, dtype=np.int64),
        **changes,
    }
    for part in ("train", "test"):
        np.savez(root / "cifar10_jpeg" / f"{part}.npz", **content)
    return list(pixels)


class _SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def _refusal(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize(("entry", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_idx_files_are_read_exactly(tmp_path: Path, entry: str, folder: str) -> None:
    content = _mnist(tmp_path, folder)
    source = getattr(catalogue, entry)(root=tmp_path, download=False)
    assert source.inputs[0].dtype == torch.uint8
    for part, x, y in (("train", source.inputs, source.targets), ("t10k", source.test_inputs, source.test_targets)):
        assert np.array_equal(x[0][:, 0].numpy(), content[part][0])
        assert y.tolist() == content[part][1].tolist()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-100], "40 x 28 x 28 values need 31,376 bytes"),
        (lambda content: content + b"\0", "40 x 28 x 28 values need 31,376 bytes"),
        (lambda content: content[:10], "its header is cut off"),
        (lambda content: b"", "it begins with nothing, not with 00 00 08 03"),
        (lambda content: b"\0\0\x08\x01" + content[4:], "it begins with 00 00 08 01, not with 00 00 08 03"),
        (lambda content: b"\0\0\x0d\x03" + content[4:], "it begins with 00 00 0d 03"),
        (lambda content: b"<!DOCTYPE html>", "it begins with 3c 21 44 4f"),
        (lambda content: b"\x1f\x8b\x08\x00" + content, "it is still compressed"),
    ],
)
def test_a_damaged_idx_file_is_refused_with_its_size(
    tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    _mnist(tmp_path)
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    message = _refusal(lambda: load("mnist", root=tmp_path, download=False))
    assert "MNIST: a file cannot be read" in message
    assert f"{path} ({path.stat().st_size:,} bytes; " in message
    assert reason in message
    assert "delete it and get it again" in message


def test_labels_and_images_must_match(tmp_path: Path) -> None:
    _mnist(tmp_path)
    path = tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte"
    path.write_bytes(_idx(np.zeros(19, dtype=np.uint8)))
    message = _refusal(lambda: load("mnist", root=tmp_path, download=False))
    assert str(path) in message
    assert "19 labels for 20 images" in message


def test_a_label_out_of_range_is_refused(tmp_path: Path) -> None:
    _mnist(tmp_path)
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(_idx(np.full(40, 10, dtype=np.uint8)))
    message = _refusal(lambda: load("mnist", root=tmp_path, download=False))
    assert "label out of range" in message
    assert "0 to 9" in message


def test_idx_of_other_axes(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    (tmp_path / "x").write_bytes(_idx(values))
    assert torch.equal(read_idx(tmp_path / "x", axes=4), torch.from_numpy(values))
    with pytest.raises(ValueError, match="not with 00 00 08 01"):
        read_idx(tmp_path / "x", axes=1)


def test_usps_text_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    from torchvision.datasets import USPS

    content = _usps(tmp_path)
    source = catalogue.usps(root=tmp_path, download=False)
    reference = USPS(tmp_path / "USPS", train=True, download=False)
    assert np.array_equal(source.inputs[0][:, 0].numpy(), reference.data)
    assert source.targets.tolist() == reference.targets
    assert source.test_inputs is not None
    expected = np.floor((content["usps.t.bz2"].astype(np.float32) + 1) / 2 * 255).reshape(-1, 1, 16, 16)
    assert np.array_equal(source.test_inputs[0].numpy(), expected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (_usps_line(11, np.zeros(256)), "line 21: not a class from 1 to 10"),
        (_usps_line(0, np.zeros(256)), "line 21: not a class from 1 to 10"),
        (_usps_line(1, np.zeros(255)), "line 21: not a class from 1 to 10 and the values 1: to 256:"),
        (_usps_line(1, np.full(256, 1.5)), "a value outside -1 to 1"),
        (_usps_line(1, np.full(256, np.nan)), "a value outside -1 to 1"),
        (_usps_line(1, np.zeros(256)).replace("256:0.0000", "256:zero"), "could not convert"),
        ("\n", "not enough values"),
    ],
)
def test_a_damaged_line_of_usps_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    _usps(tmp_path)
    path = tmp_path / "USPS/usps.bz2"
    path.write_bytes(bz2.compress(bz2.decompress(path.read_bytes()) + line.encode()))
    message = _refusal(lambda: load("usps", root=tmp_path, download=False))
    assert str(path) in message
    assert reason in message


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"not bz2"])
def test_a_damaged_bz2_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    _usps(tmp_path)
    path = tmp_path / "USPS/usps.t.bz2"
    path.write_bytes(damage(path.read_bytes()))
    message = _refusal(lambda: load("usps", root=tmp_path, download=False))
    assert f"{path} ({path.stat().st_size:,} bytes; " in message


def test_an_empty_usps_file_holds_no_examples(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(bz2.compress(b""))
    pixels, classes = read_usps(tmp_path / "empty")
    assert (len(pixels), len(classes)) == (0, 0)


def test_mnist_to_usps_trains_on_one_and_tests_on_the_other(tmp_path: Path) -> None:
    _mnist(tmp_path)
    _usps(tmp_path)
    bundle = load("mnist_to_usps", root=tmp_path, download=False)
    assert {name: len(split) for name, split in bundle.splits()} == {
        "train": 54,
        "val": 6,
        "target_val": 20,
        "test": 20,
    }
    assert bundle.task.input_shape == (1, 28, 28)


def test_jpeg_bytes_are_decoded_in_order(tmp_path: Path) -> None:
    pixels = _jpegs(tmp_path)
    source = catalogue.cifar10_jpeg(root=tmp_path)
    assert np.array_equal(source.inputs[0].permute(0, 2, 3, 1).numpy(), np.stack(pixels))
    assert source.targets.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": np.arange(9)}, "9 labels, 11 starts, jpeg of uint8"),
        ({"labels": np.arange(10) / 2}, "10 labels"),
        ({"start": np.arange(11)}, "image 0"),
        ({"start": np.arange(5)}, "10 labels, 5 starts"),
        ({"jpeg": np.zeros(10)}, "jpeg of float64"),
    ],
)
def test_damaged_jpeg_arrays_are_refused(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    _jpegs(tmp_path, **changes)
    message = _refusal(lambda: load("cifar10_jpeg", root=tmp_path))
    assert str(tmp_path / "cifar10_jpeg/train.npz") in message
    assert reason in message


def test_a_jpeg_of_another_size_is_refused(tmp_path: Path) -> None:
    small = _jpeg(np.zeros((8, 16, 3), dtype=np.uint8))
    _jpegs(tmp_path, jpeg=np.frombuffer(small, np.uint8), start=np.array([0, len(small)]), labels=np.array([3]))
    message = _refusal(lambda: load("cifar10_jpeg", root=tmp_path))
    assert "image 0" in message
    assert "8 x 16 pixels" in message


def test_a_truncated_npz_and_one_without_an_array_are_refused(tmp_path: Path) -> None:
    _jpegs(tmp_path)
    path = tmp_path / "cifar10_jpeg/train.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert f"{path} ({len(whole) // 2:,} bytes; BadZipFile" in _refusal(lambda: load("cifar10_jpeg", root=tmp_path))
    np.savez(path, start=np.arange(3))
    assert "jpeg is not a file in the archive" in _refusal(lambda: load("cifar10_jpeg", root=tmp_path))


def test_a_pickle_in_an_npz_is_never_loaded(tmp_path: Path) -> None:
    _jpegs(tmp_path, labels=np.array([{"a": 1}] * 10, dtype=object))
    assert "allow_pickle=False" in _refusal(lambda: load("cifar10_jpeg", root=tmp_path))


def test_cifar10_is_read_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)

    def write(name: str, content: dict[str, object]) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    batch = {"data": pixels, "labels": [n % 10 for n in range(20)]}
    monkeypatch.setattr(CIFAR10, "train_list", [write("data_batch_1", batch)])
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch)])
    key, md5 = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": key, "key": "label_names", "md5": md5})
    source = catalogue.cifar10(root=tmp_path, download=False)
    assert np.array_equal(source.inputs[0].numpy(), pixels.reshape(-1, 3, 32, 32))
    (folder / "test_batch").write_bytes(pickle.dumps({"anything": 1}))
    message = _refusal(lambda: catalogue.cifar10(root=tmp_path, download=False))  # another hash, so not unpickled
    assert str(folder) in message
    assert "corrupted" in message


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("fashion_mnist", "FashionMNIST/raw/train-images-idx3-ubyte"),
        ("usps", "USPS/usps.bz2"),
        ("cifar10", "cifar-10-batches-py"),
        ("mnist_to_usps", "MNIST/raw/train-images-idx3-ubyte"),
    ],
)
def test_without_files_and_download_the_message_says_what_is_missing(tmp_path: Path, name: str, path: str) -> None:
    message = _refusal(lambda: load(name, root=tmp_path, download=False))
    assert f"no {tmp_path / path} (the root is data.root); download=False" in message
    assert f"a root folder that holds {path}" in message
    assert "MLKIT_DATA" in message
    assert not list(tmp_path.iterdir())


def test_the_jpeg_copy_is_not_downloaded(tmp_path: Path) -> None:
    message = _refusal(lambda: load("cifar10_jpeg", root=tmp_path))
    assert f"no {tmp_path / 'cifar10_jpeg/train.npz'}" in message
    assert "mlkit does not download this data set" in message


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A server that takes connections and never answers, as a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("port", "reason"),
    [(None, "no connection (Connection refused)"), ("silent", "timed out")],
    ids=["refused", "silent"],
)
def test_a_download_without_network_ends_soon_with_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_server: int, port: str | None, reason: str
) -> None:
    from torchvision.datasets import MNIST

    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    monkeypatch.setattr(catalogue, "_PATIENCE", 0.2)
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{free if port is None else silent_server}/"])
    _without_proxy(monkeypatch)
    begin = time.monotonic()
    message = _refusal(lambda: load("mnist", root=tmp_path))
    assert time.monotonic() - begin < 5
    assert socket.getdefaulttimeout() is None
    assert f"no {tmp_path / 'MNIST/raw/train-images-idx3-ubyte'}" in message
    assert "the download failed: " in message
    assert reason in message
    assert "urlopen" not in message
    assert "Traceback" not in message
    assert len(message.splitlines()) == 4


def test_missing_files_are_downloaded_and_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    content = _mnist(tmp_path / "mirror")
    folder = tmp_path / "mirror/MNIST/raw"
    resources = []
    for file in sorted(folder.iterdir()):
        compressed = file.with_name(file.name + ".gz")
        compressed.write_bytes(gzip.compress(file.read_bytes()))
        resources.append((compressed.name, hashlib.md5(compressed.read_bytes()).hexdigest()))
    handler = partial(_SilentHandler, directory=str(folder))
    monkeypatch.setattr(MNIST, "resources", resources)
    _without_proxy(monkeypatch)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = catalogue.mnist(root=tmp_path / "root")
        server.shutdown()
    assert np.array_equal(source.inputs[0][:, 0].numpy(), content["train"][0])
    assert source.test_targets is not None
    assert source.test_targets.tolist() == content["t10k"][1].tolist()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("mnist", (0.1307, 0.3081), (0.1325, 0.3105)),
        ("fashion_mnist", (0.2860, 0.3530), (0.2868, 0.3524)),
        ("usps", (0.2539, 0.3842), (0.2670, 0.3922)),
    ],
)
def test_known_means_and_deviations(
    data_root: Path, name: str, train: tuple[float, float], test: tuple[float, float]
) -> None:
    source = getattr(catalogue, name)(root=data_root, download=False)
    for (x,), expected in ((source.inputs, train), (source.test_inputs, test)):
        pixels = x.numpy().astype(np.float32) / 255
        assert (round(float(pixels.mean(dtype=float)), 4), round(float(pixels.std(dtype=float)), 4)) == expected


@pytest.mark.data
def test_known_class_counts(data_root: Path) -> None:
    counts = {
        "mnist": (
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        ),
        "fashion_mnist": ([6000] * 10, [1000] * 10),
        "usps": (
            [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
            [359, 264, 198, 166, 200, 160, 170, 147, 166, 177],
        ),
    }
    for name, (train, test) in counts.items():
        source = getattr(catalogue, name)(root=data_root, download=False)
        assert source.targets.bincount().tolist() == train
        assert source.test_targets.bincount().tolist() == test


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "usps"])
def test_the_readers_agree_with_torchvision(data_root: Path, name: str) -> None:
    from torchvision import datasets

    reader = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "usps": datasets.USPS}[name]
    source = getattr(catalogue, name)(root=data_root, download=False)
    folder = data_root / "USPS" if name == "usps" else data_root
    for train, (x,), y in ((True, source.inputs, source.targets), (False, source.test_inputs, source.test_targets)):
        reference = reader(folder, train=train, download=False)
        assert torch.equal(x[:, 0], torch.as_tensor(reference.data))
        assert torch.equal(y, torch.as_tensor(reference.targets))


@pytest.mark.data
def test_usps_one_nearest_neighbour(data_root: Path) -> None:
    source = catalogue.usps(root=data_root, download=False)
    assert source.test_inputs is not None
    train, test = (x.flatten(1).double() for x in (source.inputs[0], source.test_inputs[0]))
    nearest = (train.square().sum(1) - 2 * test @ train.T).argmin(1)
    error = 100 * float((source.targets[nearest] != source.test_targets).double().mean())
    # 5.63 % on the values themselves; as bytes that are cut down, two of 2,007 digits find another neighbour.
    assert abs(error - 5.63) < 0.15


@pytest.mark.data
@pytest.mark.slow
def test_the_jpeg_copy_of_cifar10(data_root: Path) -> None:
    source = catalogue.cifar10_jpeg(root=data_root)
    assert source.targets.bincount().tolist() == [5000] * 10
    assert source.test_inputs is not None
    assert source.test_targets is not None
    assert source.test_targets.bincount().tolist() == [1000] * 10
    pixels = source.inputs[0].numpy()
    for channel, (mean, std) in enumerate(((0.4913, 0.2452), (0.4821, 0.2428), (0.4465, 0.2606))):
        values = pixels[:, channel].astype(np.float32) / 255
        assert (round(float(values.mean(dtype=float)), 4), round(float(values.std(dtype=float)), 4)) == (mean, std)
    noisy = np.load(data_root / "cifar10_human/cifar10n_train_labels.npz")
    assert np.array_equal(source.targets.numpy(), noisy["clean_label"])


@pytest.mark.data
def test_statistics_come_from_the_training_examples_alone(data_root: Path) -> None:
    bundle = load("mnist", root=data_root, limit=1000)
    (x,) = bundle.train.gather(torch.arange(1000)).inputs
    torch.testing.assert_close(x.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(correction=0), torch.tensor(1.0), atol=1e-5, rtol=0)
    assert {name: len(split) for name, split in bundle.splits()} == {"train": 1000, "val": 111, "test": 10_000}
