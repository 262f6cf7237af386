from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlkit.data import load
from mlkit.data.bundle import DataBundle
from mlkit.data.folder import FileSplit, image_folder
from mlkit.errors import ConfigError, DataError

SIZE = (8, 6)  # height, width


def _pixels(seed: int, size: tuple[int, int] = SIZE, channels: int = 3) -> np.ndarray:
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _fill(folder: Path, n: int = 10, channels: int = 3, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """The seed of each image is its number, so that a test knows its pixels."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(n):
            pixels = _pixels(100 * label + number, channels=channels)
            Image.fromarray(pixels).save(folder / name / f"{100 * label + number}.png")
    return folder


def _refusal(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    return str(caught.value)


def _unprepared(bundle: DataBundle, name: str) -> torch.Tensor:
    """The pixels of a split as bytes, from its standardised batches."""
    split = getattr(bundle, name)
    (x,) = split.gather(torch.arange(len(split))).inputs
    return ((x - split.prepare.shift) / split.prepare.scale).round().to(torch.uint8)


@pytest.mark.parametrize("resident_bytes", [1 << 30, 0])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_in_one_split_with_its_pixels_and_its_class(
    tmp_path: Path, resident_bytes: int, channels: int
) -> None:
    bundle = load("image_folder", path=_fill(tmp_path / "pets", channels=channels), resident_bytes=resident_bytes)
    assert str(bundle) == f"pets: image {channels} x 8 x 6, 2 classes; train 14, val 2, test 4"
    known = {_pixels(100 * label + n, channels=channels).tobytes(): label for label in range(2) for n in range(10)}
    found = {}
    for name, split in bundle.splits():
        for image, target in zip(_unprepared(bundle, name), split.targets.tolist(), strict=True):
            array = image.permute(1, 2, 0).numpy() if channels == 3 else image[0].numpy()
            found[array.tobytes()] = target
    assert found == known


def test_in_memory_and_on_disk_give_the_same_batches(tmp_path: Path) -> None:
    _fill(tmp_path)
    resident, on_disk = image_folder(tmp_path), image_folder(tmp_path, resident_bytes=0)
    assert isinstance(on_disk.train, FileSplit)
    assert (resident.notes["storage"], on_disk.notes["storage"]) == ("in memory", "on disk, decoded batch by batch")
    index = torch.tensor([3, 0, 3])
    first, second = resident.train.gather(index), on_disk.train.subset(index).to("cpu").gather(torch.arange(3))
    torch.testing.assert_close(first.inputs[0], second.inputs[0])
    assert torch.equal(first.targets, second.targets)


def test_training_images_have_zero_mean_and_unit_deviation(tmp_path: Path) -> None:
    bundle = image_folder(_fill(tmp_path))
    (x,) = bundle.train.gather(torch.arange(len(bundle.train))).inputs
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_given_parts_are_kept(tmp_path: Path, val: str) -> None:
    for part, n in (("train", 8), (val, 3), ("test", 2)):
        _fill(tmp_path / part, n=n)
    bundle = image_folder(tmp_path)
    assert {name: len(split) for name, split in bundle.splits()} == {"train": 16, "val": 6, "test": 4}


def test_parts_that_do_not_exist_are_cut_from_train(tmp_path: Path) -> None:
    _fill(tmp_path / "train")
    bundle = image_folder(tmp_path, val_fraction=0.2, test_fraction=0.3)
    assert {name: len(split) for name, split in bundle.splits()} == {"train": 10, "val": 4, "test": 6}


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    bundle = image_folder(_fill(tmp_path, classes=("car", "plane", "train")))
    assert bundle.task.class_names == ("car", "plane", "train")


def test_files_that_are_no_images_are_passed_over_and_folders_within_a_class_are_not(tmp_path: Path) -> None:
    _fill(tmp_path)
    for odd in ("cat/notes.txt", "cat/.DS_Store", "cat/._0.png", "dog/Thumbs.db", "readme.md"):
        (tmp_path / odd).write_bytes(b"no image")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "dog/more").mkdir()
    Image.fromarray(_pixels(7)).save(tmp_path / "dog/more/extra.JPEG")
    bundle = image_folder(tmp_path)
    assert bundle.task.class_names == ("cat", "dog")
    assert sum(len(split) for _, split in bundle.splits()) == 21


def test_grey_and_colour_and_palette_images_become_colour(tmp_path: Path) -> None:
    for name, seed in (("cat", 0), ("dog", 1)):
        (tmp_path / name).mkdir()
        colour = Image.fromarray(_pixels(seed))
        Image.fromarray(_pixels(seed, channels=1)).save(tmp_path / name / "0grey.png")  # the first one that is seen
        colour.save(tmp_path / name / "colour.png")
        colour.convert("P").save(tmp_path / name / "palette.png", transparency=bytes(range(256)))
        colour.convert("RGBA").save(tmp_path / name / "transparent.png")
        colour.convert("1").save(tmp_path / name / "bits.png")
        colour.convert("CMYK").save(tmp_path / name / "print.jpg")
        Image.fromarray(_pixels(seed, channels=1)).convert("LA").save(tmp_path / name / "grey_transparent.png")
    bundle = image_folder(tmp_path)
    assert bundle.task.input_shape == (3, *SIZE)
    grey = np.repeat(_pixels(0, channels=1)[None], 3, axis=0)
    images = torch.cat([_unprepared(bundle, name) for name, _ in bundle.splits()]).numpy()
    assert sum(np.array_equal(image, grey) for image in images) == 2
    assert sum(np.array_equal(image, _pixels(0).transpose(2, 0, 1)) for image in images) == 2


def test_a_folder_of_grey_images_of_several_kinds_is_grey(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65_536, SIZE, dtype=np.uint16)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(_pixels(number, channels=1)).save(tmp_path / name / f"{number}.png")
        Image.fromarray(deep).save(tmp_path / name / "deep.png")
        Image.fromarray(_pixels(5, channels=1)).convert("1").save(tmp_path / name / "bits.png")
    bundle = image_folder(tmp_path)
    assert bundle.task.input_shape == (1, *SIZE)
    images = torch.cat([_unprepared(bundle, name) for name, _ in bundle.splits()]).numpy()
    assert sum(np.array_equal(image[0], deep // 256) for image in images) == 2  # scaled, not cut off at 255


def test_pixels_of_unknown_range_are_refused(tmp_path: Path) -> None:
    _fill(tmp_path, channels=1)
    Image.fromarray(np.ones(SIZE, dtype=np.float32)).save(tmp_path / "cat/0.tif")
    assert "floating-point numbers" in _refusal(lambda: image_folder(tmp_path))


def test_images_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    _fill(tmp_path)
    Image.fromarray(_pixels(0, (20, 10))).save(tmp_path / "dog/big.png")
    message = _refusal(lambda: image_folder(tmp_path))
    assert "the images are of several sizes" in message
    assert f"{tmp_path / 'dog/big.png'}: 20 x 10" in message or "20 x 10, as dog/big.png" in message
    assert "set data.image_size" in message
    bundle = image_folder(tmp_path, image_size=5)
    assert bundle.task.input_shape == (3, 5, 5)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    _fill(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned by 90 degrees
    upright = _pixels(0)
    Image.fromarray(np.rot90(upright)).save(tmp_path / "cat/turned.webp", exif=exif, lossless=True)
    bundle = image_folder(tmp_path)  # 6 x 8 as stored, 8 x 6 as meant
    images = torch.cat([_unprepared(bundle, name) for name, _ in bundle.splits()]).numpy()
    assert sum(np.array_equal(image, upright.transpose(2, 0, 1)) for image in images) == 2


@pytest.mark.parametrize("resident_bytes", [1 << 30, 0])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda whole: whole[: len(whole) // 2], "truncated"),
        (lambda whole: b"not an image", "not an image that is known"),
        (lambda whole: b"", "not an image that is known"),
    ],
)
def test_a_damaged_image_is_named(
    tmp_path: Path, content: Callable[[bytes], bytes], reason: str, resident_bytes: int
) -> None:
    _fill(tmp_path, n=3)
    for path in (tmp_path / "cat").iterdir():
        Image.fromarray(_pixels(1, (80, 60))).resize(SIZE[::-1]).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    whole = (tmp_path / "cat/1.jpg").read_bytes()
    (tmp_path / "cat/1.jpg").write_bytes(content(whole))

    def read() -> None:
        bundle = image_folder(tmp_path, resident_bytes=resident_bytes)
        for _, split in bundle.splits():
            split.gather(torch.arange(len(split)))

    message = _refusal(read)
    assert "an image cannot be read" in message
    assert f"{tmp_path / 'cat/1.jpg'}: " in message
    assert reason in message.lower()
    assert "repair the file or remove it" in message


def test_an_image_that_unpacks_beyond_measure_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    _fill(tmp_path)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0))
    (tmp_path / "cat/bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert f"{tmp_path / 'cat/bomb.png'}: Image size" in _refusal(lambda: image_folder(tmp_path))


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    _fill(tmp_path, classes=("cat",))
    message = _refusal(lambda: image_folder(tmp_path))
    assert "too few classes" in message
    assert "1 sub-folders, 10 images" in message


def test_images_without_classes_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    Image.fromarray(_pixels(0)).save(tmp_path / "0.png")
    assert "0 sub-folders, 0 images" in _refusal(lambda: image_folder(tmp_path))


def test_an_empty_class_is_refused(tmp_path: Path) -> None:
    _fill(tmp_path)
    (tmp_path / "zebra").mkdir()
    message = _refusal(lambda: image_folder(tmp_path))
    assert f"{tmp_path / 'zebra'}: no image in it" in message
    assert "if it is not a class" in message


def test_a_class_of_the_test_part_without_training_images_is_refused(tmp_path: Path) -> None:
    _fill(tmp_path / "train")
    _fill(tmp_path / "test", classes=("cat", "dogs"))
    message = _refusal(lambda: image_folder(tmp_path))
    assert str(tmp_path / "test/dogs") in message
    assert f"add the folder {tmp_path / 'train/dogs'}" in message


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = _refusal(lambda: load("image_folder", path=tmp_path / "none"))
    assert "the image folder is not there" in message
    assert str(tmp_path / "none") in message


def test_a_size_below_one_pixel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.image_size is too small"):
        image_folder(_fill(tmp_path), image_size=0)


def test_what_is_left_out_is_never_read(tmp_path: Path) -> None:
    _fill(tmp_path, n=20, classes=("ant", "bee", "cat"))
    for path in (tmp_path / "ant").iterdir():
        path.write_bytes(b"damaged")
    bundle = image_folder(tmp_path, classes=["cat", "bee"], limit=6, test_fraction=0.1)
    assert bundle.task.class_names == ("cat", "bee")
    assert {name: len(split) for name, split in bundle.splits()} == {"train": 6, "val": 1, "test": 4}


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    _fill(tmp_path)
    first, on_disk = image_folder(tmp_path).fingerprint, image_folder(tmp_path, resident_bytes=0).fingerprint
    assert image_folder(tmp_path).fingerprint == first
    pixels = _pixels(3)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(tmp_path / "cat/3.png")
    assert image_folder(tmp_path).fingerprint != first
    (tmp_path / "cat/3.png").rename(tmp_path / "cat/3b.png")
    assert image_folder(tmp_path, resident_bytes=0).fingerprint != on_disk


def test_the_name_is_that_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path / "pets")
    monkeypatch.chdir(tmp_path / "pets")
    assert image_folder(".").name == "pets"
