"""The settings of each model and each data set, by name; those of the user's own come from their factory's signature.

Not here: the settings that every run has (`mlkit.config.schema`). A test compares each class with its factory.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, get_type_hints

from mlkit.config.settings import setting, settings_of
from mlkit.registry import TABLES, Kind

Activation = Literal["relu", "gelu", "tanh"]
ONE_ANSWER = ("classification", "regression")
DROPOUT = "probability of dropping a unit while training; raise it against overfitting"


@dataclass
class AutoModel:
    """The model that the data calls for: lenet for images, lstm for series and text, mlp for anything else."""

    inputs: ClassVar[tuple[str, ...]] = ()
    tasks: ClassVar[tuple[str, ...]] = ()
    name: str = setting("auto", "model")


@dataclass
class MLPModel:
    """Dense layers; one hidden layer by default."""

    inputs: ClassVar[tuple[str, ...]] = ("vector", "table", "image", "series", "other")
    tasks: ClassVar[tuple[str, ...]] = ONE_ANSWER
    name: str = setting("mlp", "model")
    hidden: tuple[int, ...] = setting((128,), "units of each hidden layer; [] is a linear model", within=">= 1")
    activation: Activation = setting("relu", "after each hidden layer; decides the initialisation too")
    dropout: float = setting(0.0, DROPOUT, within="[0, 1)")
    normalization: Literal["none", "batch", "layer"] = setting("none", "between a layer and its activation")


@dataclass
class LeNetModel:
    """LeNet-5 with ReLU and max-pooling, for images of any size and number of channels."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    tasks: ClassVar[tuple[str, ...]] = ONE_ANSWER
    name: str = setting("lenet", "model")
    width: float = setting(1.0, "multiplies the widths 6-16-120-84; wider fits more", within="> 0")
    activation: Activation = setting("relu", "after each layer; decides the initialisation too")
    dropout: float = setting(0.0, DROPOUT, within="[0, 1)")


@dataclass
class SmallResNetModel:
    """ResNet for small images, as for CIFAR-10."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    tasks: ClassVar[tuple[str, ...]] = ONE_ANSWER
    name: str = setting("resnet20", "model")
    shortcut: Literal["pad", "projection"] = setting("pad", "how a block passes on its input where the size changes")
    normalization: Literal["batch", "none"] = setting("batch", "none trains without, by a careful start (SkipInit)")
    zero_init_residual: bool = setting(False, "start every block as its shortcut")


@dataclass
class LargeResNetModel:
    """ResNet for images of any size, layer by layer as in torchvision."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    tasks: ClassVar[tuple[str, ...]] = ONE_ANSWER
    name: str = setting("resnet18", "model")
    small_input: bool | None = setting(
        None, "3x3 stem for small images; by default when below 64 pixels", example="true"
    )
    normalization: Literal["batch", "none"] = setting("batch", "none trains without, by a careful start (SkipInit)")
    zero_init_residual: bool = setting(False, "start every block as its shortcut")


@dataclass
class LSTMModel:
    """LSTM over series or text; one layer by default."""

    inputs: ClassVar[tuple[str, ...]] = ("series", "tokens")
    tasks: ClassVar[tuple[str, ...]] = (*ONE_ANSWER, "next_token")
    name: str = setting("lstm", "model")
    hidden: int = setting(128, "units of each layer and direction", within=">= 1")
    layers: int = setting(1, "layers on top of each other", within=">= 1")
    bidirectional: bool = setting(False, "also read backwards; not for the next token")
    dropout: float = setting(0.0, "dropped between layers and before the output, never in time", within="[0, 1)")
    pooling: Literal["last", "mean"] = setting("last", "answer from the last step, or from the mean of all")
    embedding_dim: int | None = setting(
        None, "width of the token embedding; hidden by default", within=">= 1", example="64"
    )


MODEL_CHOICES: dict[str, type] = {
    "auto": AutoModel,
    "mlp": MLPModel,
    "lenet": LeNetModel,
    **{f"resnet{depth}": SmallResNetModel for depth in (20, 32, 44, 56, 110)},
    **{f"resnet{depth}": LargeResNetModel for depth in (18, 34, 50)},
    "lstm": LSTMModel,
}


@dataclass
class DataSettings:
    """What every data set can be told; those of a family follow. ``without`` lists what a family does not take."""

    inputs: ClassVar[str | None] = None
    task_kind: ClassVar[str | None] = None
    without: ClassVar[tuple[str, ...]] = ()
    name: str = setting("digits", "data set")
    root: str | None = setting(None, "folder of the data files; MLKIT_DATA by default", example="~/data")
    limit: int | None = setting(
        None, "training examples to use; fewer simplify the problem", within=">= 2", example="10000"
    )
    classes: list[int | str] | None = setting(None, "classes to use, by name or number", example="[0,1]")
    image_size: int | None = setting(None, "resize images to so many pixels a side", within=">= 1", example="28")
    val_fraction: float | None = setting(None, "share held out for val; 0.1 by default", within="(0, 1)", example="0.1")
    test_fraction: float | None = setting(
        None, "share held out for test, where there is no test part; 0.2 by default", within="[0, 1)", example="0.2"
    )
    augment: list[object] = setting([], "random changes of training batches", example="[flip,crop]")


@dataclass
class DigitsData(DataSettings):
    """Handwritten digits of 8 x 8 pixels that come with scikit-learn; no files needed."""

    inputs, task_kind = "image", "classification"


@dataclass
class VectorData(DataSettings):
    """Small sets of measurements that come with scikit-learn; no files needed."""

    inputs, task_kind = "vector", "classification"
    without = ("image_size",)


@dataclass
class DiabetesData(DataSettings):
    """Progression of diabetes from 10 measurements, with scikit-learn; no files needed."""

    inputs, task_kind = "vector", "regression"
    without = ("image_size", "classes")


@dataclass
class ImageData(DataSettings):
    """Images read by torchvision."""

    inputs, task_kind = "image", "classification"
    download: bool = setting(True, "fetch the files where they are missing")


@dataclass
class LocalImageData(DataSettings):
    """Images from files that are there."""

    inputs, task_kind = "image", "classification"


@dataclass
class AdultData(DataSettings):
    """Census of 1994: is the income above 50,000 dollars?"""

    inputs, task_kind = "table", "classification"
    without = ("image_size",)


@dataclass
class ProteinData(DataSettings):
    """Deviation of predicted protein structures."""

    inputs, task_kind = "table", "regression"
    without = ("image_size", "classes")


@dataclass
class HousingData(DataSettings):
    """Median house values in California."""

    inputs, task_kind = "table", "regression"
    without = ("image_size", "classes")
    features: Literal["derived", "raw"] = setting("derived", "averages a household, or totals a district")
    missing: bool = setting(False, "the version with missing values and a categorical column")


@dataclass
class WineQualityData(DataSettings):
    """A taster's mark from 11 measurements."""

    inputs = "table"
    without = ("image_size",)
    color: Literal["red", "white", "both"] = setting("both", "which wines")
    task: Literal["regression", "classification"] = setting("regression", "the mark as a number or as a class")


@dataclass
class CSVData(DataSettings):
    """A table from a delimited text file of yours, one example a line."""

    inputs = "table"
    without = ("image_size", "root")
    path: str = setting(None, "the file; its first line names the columns", example="table.csv")
    target: str = setting(None, "column to predict", example="price")
    categorical: list[str] | None = setting(None, "columns of names; found out by default", example="[city,color]")
    drop: list[str] = setting([], "columns to leave out", example="[id]")
    task: Literal["auto", "classification", "regression"] = setting("auto", "decided by the target's values")
    missing: list[str] = setting(
        ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"], "what stands for a missing value"
    )
    test_path: str | None = setting(None, "a file that is the test part", example="test.csv")
    group: str | None = setting(None, "column of a person or thing that is never split up", example="patient")
    time: str | None = setting(None, "column by which rows are ordered; later ones are held out", example="date")
    delimiter: str | None = setting(None, "what separates cells; found out by default", example="';'")
    names: list[str] | None = setting(None, "names of the columns, where the file has no header", example="[a,b,c]")
    encoding: str = setting("utf-8", "of the file")


FORECASTS = ("classes", "image_size", "val_fraction", "test_fraction")
HORIZON = "steps to forecast"
CONTEXT = "steps that are seen"
BORROW = "val and test may see rows before their split, as most published figures do"


@dataclass
class ElectricityData(DataSettings):
    """Load of an electricity transformer, hour by hour."""

    inputs, task_kind = "series", "regression"
    without = FORECASTS
    target: str | list[str] = setting("OT", "column or columns to forecast")
    columns: list[str] | None = setting(None, "columns to see; all by default", example="[OT,HUFL]")
    context: int = setting(96, CONTEXT, within=">= 1")
    horizon: int = setting(24, HORIZON, within=">= 1")
    borrow_context: bool = setting(False, BORROW)
    stride: int = setting(1, "steps between training windows", within=">= 1")


@dataclass
class PassengersData(DataSettings):
    """Air passengers, month by month."""

    inputs, task_kind = "series", "regression"
    without = FORECASTS
    context: int = setting(12, CONTEXT, within=">= 1")
    horizon: int = setting(1, HORIZON, within=">= 1")
    borrow_context: bool = setting(False, BORROW)
    log: bool = setting(False, "forecast the logarithm")


@dataclass
class TemperaturesData(DataSettings):
    """Lowest temperature in Melbourne, day by day."""

    inputs, task_kind = "series", "regression"
    without = FORECASTS
    context: int = setting(30, CONTEXT, within=">= 1")
    horizon: int = setting(7, HORIZON, within=">= 1")
    borrow_context: bool = setting(False, BORROW)


@dataclass
class SunspotsData(DataSettings):
    """Sunspots, month by month since 1749."""

    inputs, task_kind = "series", "regression"
    without = FORECASTS
    context: int = setting(132, CONTEXT, within=">= 1")
    horizon: int = setting(12, HORIZON, within=">= 1")
    borrow_context: bool = setting(False, BORROW)


@dataclass
class ForecastCSVData(DataSettings):
    """A series from a delimited text file of yours, one step a line, the oldest first."""

    inputs, task_kind = "series", "regression"
    without = ("classes", "image_size", "root")
    path: str = setting(None, "the file; its first line names the columns", example="series.csv")
    target: str | list[str] = setting(None, "column or columns to forecast", example="price")
    context: int = setting(None, CONTEXT, within=">= 1", example="24")
    horizon: int = setting(1, HORIZON, within=">= 1")
    columns: list[str] | None = setting(None, "columns to see; all numbers by default", example="[price,volume]")
    time_column: str | None = setting(None, "column that must ascend", example="date")
    borders: list[int] | None = setting(
        None, "rows at which train, val and test end", example="[800,900,1000]", within=">= 1"
    )
    borrow_context: bool = setting(False, BORROW)
    stride: int = setting(1, "steps between training windows", within=">= 1")
    log: bool = setting(False, "forecast the logarithm")
    delimiter: str | None = setting(None, "what separates cells; found out by default", example="';'")


@dataclass
class SeriesData(DataSettings):
    """Series from the UCR and UEA archives, each with a class."""

    inputs, task_kind = "series", "classification"
    without = ("image_size",)


@dataclass
class NamesData(DataSettings):
    """Surnames, letter by letter, each with a language."""

    inputs, task_kind = "tokens", "classification"
    without = ("image_size",)


@dataclass
class ShakespeareData(DataSettings):
    """The next character of tiny shakespeare."""

    inputs, task_kind = "tokens", "next_token"
    without = FORECASTS
    context: int = setting(128, "characters that are seen", within=">= 1")
    stride: int | None = setting(
        None, "characters between training windows; context by default", within=">= 1", example="64"
    )


@dataclass
class TextFileData(DataSettings):
    """The next character of a text file of yours."""

    inputs, task_kind = "tokens", "next_token"
    without = ("classes", "image_size", "root")
    path: str = setting(None, "the file", example="book.txt")
    context: int = setting(128, "characters that are seen", within=">= 1")
    stride: int | None = setting(
        None, "characters between training windows; context by default", within=">= 1", example="64"
    )
    encoding: str = setting("utf-8", "of the file")


EXAMPLES = "examples to make"


@dataclass
class BlobsData(DataSettings):
    """Synthetic: one cloud of points a class, which any model must tell apart."""

    inputs, task_kind = "vector", "classification"
    without = ("image_size", "root")
    examples: int = setting(1000, EXAMPLES, within=">= 10")
    num_classes: int = setting(3, "clouds", within=">= 2")
    features: int = setting(2, "numbers an example", within=">= 1")
    spread: float = setting(0.5, "deviation within a cloud", within=">= 0")


@dataclass
class SpiralsData(DataSettings):
    """Synthetic: spirals around each other, which a linear model cannot tell apart."""

    inputs, task_kind = "vector", "classification"
    without = ("image_size", "root")
    examples: int = setting(1000, EXAMPLES, within=">= 10")
    num_classes: int = setting(2, "spirals", within=">= 2")
    turns: float = setting(1.0, "turns of each spiral", within="> 0")
    noise: float = setting(0.02, "deviation from the spiral", within=">= 0")


@dataclass
class BarsData(DataSettings):
    """Synthetic: images with a horizontal or vertical bar, which a model of images must tell apart."""

    inputs, task_kind = "image", "classification"
    without = ("root",)
    examples: int = setting(1000, EXAMPLES, within=">= 10")
    size: int = setting(28, "pixels a side", within=">= 4")
    noise: float = setting(0.1, "deviation of the background", within=">= 0")


@dataclass
class AddingData(DataSettings):
    """Synthetic: the sum of the two marked numbers of a series, which needs a memory."""

    inputs, task_kind = "series", "regression"
    without = ("image_size", "classes", "root")
    examples: int = setting(2000, EXAMPLES, within=">= 10")
    length: int = setting(50, "steps of a series", within=">= 2")


@dataclass
class CopyData(DataSettings):
    """Synthetic: symbols to repeat after a delay, which needs a memory."""

    inputs, task_kind = "tokens", "next_token"
    without = ("image_size", "classes", "root")
    examples: int = setting(2000, EXAMPLES, within=">= 10")
    symbols: int = setting(8, "different symbols", within=">= 2")
    memory: int = setting(5, "symbols to repeat", within=">= 1")
    delay: int = setting(10, "steps to wait", within=">= 0")


@dataclass
class ImageFolderData(DataSettings):
    """Images of yours, one folder a class."""

    inputs, task_kind = "image", "classification"
    without = ("root",)
    path: str = setting(None, "the folder; its folders are the classes", example="photos")
    resident_bytes: int = setting(1 << 30, "images that take more memory are read while training", within=">= 0")


DATA_CHOICES: dict[str, type] = {
    "digits": DigitsData,
    **dict.fromkeys(("breast_cancer", "wine", "iris"), VectorData),
    "diabetes": DiabetesData,
    **dict.fromkeys(("mnist", "fashion_mnist", "cifar10", "usps", "mnist_to_usps"), ImageData),
    "cifar10_jpeg": LocalImageData,
    "adult": AdultData,
    "protein": ProteinData,
    "california_housing": HousingData,
    "wine_quality": WineQualityData,
    "csv": CSVData,
    "etth1": ElectricityData,
    "air_passengers": PassengersData,
    "daily_temperatures": TemperaturesData,
    "sunspots": SunspotsData,
    "forecast_csv": ForecastCSVData,
    **dict.fromkeys(("japanese_vowels", "basic_motions", "gun_point", "italy_power_demand", "arrow_head"), SeriesData),
    "names": NamesData,
    "tiny_shakespeare": ShakespeareData,
    "text_file": TextFileData,
    "image_folder": ImageFolderData,
    "blobs": BlobsData,
    "spirals": SpiralsData,
    "bars": BarsData,
    "adding": AddingData,
    "copy": CopyData,
}
CHOICES: dict[Kind, dict[str, type]] = {"model": MODEL_CHOICES, "data": DATA_CHOICES}


def known_names(kind: Kind, *, only_builtin: bool = False) -> tuple[str, ...]:
    """Names that can be chosen: mlkit's own, then those registered by the user or offered by an installed package."""
    return (*CHOICES[kind], *(() if only_builtin else TABLES[kind].added()))


def settings_class(kind: Kind, name: str) -> type:
    """The dataclass with the settings of a model or data set.

    Raises:
        ConfigError: there is no such name.
    """
    if name in CHOICES[kind]:
        return CHOICES[kind][name]
    return _from_signature(kind, name, TABLES[kind].get(name))


@cache
def _from_signature(kind: Kind, name: str, factory: Callable[..., Any]) -> type:
    """Settings of the user's own factory: its parameters with their annotations and defaults."""
    taken = facts_of_data() if kind == "model" else frozenset(settings_of(DataSettings)) | {"seed"}
    try:
        hints = get_type_hints(factory if inspect.isfunction(factory) else factory.__init__)
    except (NameError, TypeError):  # an annotation that exists for type checkers only
        hints = {}
    entries: list[Any] = [("name", str, setting(name, kind))] if kind == "model" else []
    for key, parameter in inspect.signature(factory).parameters.items():
        if key in taken or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = None if parameter.default is parameter.empty else parameter.default
        described = setting(list(default) if isinstance(default, list) else default, "")
        entries.append((key, hints.get(key, _type_of(default)), described))
    base = (DataSettings,) if kind == "data" else ()
    namespace = {"inputs": (), "tasks": ()} if kind == "model" else {}
    return dataclasses.make_dataclass(
        f"{name}_settings", entries, bases=base, namespace={**namespace, "__doc__": factory.__doc__}
    )


def _type_of(default: object) -> Any:
    """The type of a setting without annotation: that of its default, where that says anything."""
    return type(default) if isinstance(default, (bool, int, float, str, list, tuple, dict)) else object


def facts_of_data() -> frozenset[str]:
    """Arguments of a model's factory that the data decide."""
    from mlkit.models.auto import FACTS

    return frozenset(FACTS) | {"seed"}
