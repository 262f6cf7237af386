from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from mlkit import models
from mlkit.errors import ConfigError, ModelError
from mlkit.models import build, choose, model_options
from mlkit.models.auto import FACTS, facts
from mlkit.models.lenet import LeNet
from mlkit.models.lstm import LSTM
from mlkit.models.mlp import MLP
from mlkit.models.resnet import ResNet
from mlkit.registry import MODELS, register
from mlkit.task import InputKind, Task, TaskKind

DIGITS = Task("classification", "image", (1, 8, 8), num_outputs=10)
WIDE = Task("classification", "image", (3, 20, 32), num_outputs=4)
TABLE = Task("classification", "table", (6,), num_outputs=2, cardinalities=(9, 16))
VOWELS = Task("classification", "series", (29, 12), num_outputs=9, has_lengths=True)
FORECAST = Task("regression", "series", (96, 7), num_outputs=24)
TEXT = Task("next_token", "tokens", (128,), num_outputs=65, vocab_size=65)
NAMES = Task("classification", "tokens", (20,), num_outputs=18, vocab_size=90, has_lengths=True)


@pytest.fixture(autouse=True)
def own_registrations() -> Iterator[None]:
    before = dict(MODELS._added)
    yield
    MODELS._added.clear()
    MODELS._added.update(before)


@pytest.mark.parametrize(
    ("inputs", "kind", "name"),
    [
        ("image", "classification", "lenet"),
        ("image", "regression", "lenet"),
        ("series", "classification", "lstm"),
        ("series", "regression", "lstm"),
        ("tokens", "classification", "lstm"),
        ("tokens", "next_token", "lstm"),
        ("vector", "classification", "mlp"),
        ("table", "regression", "mlp"),
        ("other", "classification", "mlp"),
    ],
)
def test_image_lenet_sequence_lstm_else_mlp(inputs: InputKind, kind: TaskKind, name: str) -> None:
    assert choose(Task(kind, inputs, (1, 8, 8), num_outputs=2, vocab_size=2)) == name


@pytest.mark.parametrize(
    ("name", "task", "kind"),
    [
        ("auto", DIGITS, LeNet),
        ("auto", TABLE, MLP),
        ("auto", VOWELS, LSTM),
        ("auto", TEXT, LSTM),
        ("mlp", DIGITS, MLP),
        ("mlp", FORECAST, MLP),
        ("resnet20", WIDE, ResNet),
        ("resnet18", WIDE, ResNet),
        ("lstm", NAMES, LSTM),
    ],
)
def test_the_model_fits_the_task(name: str, task: Task, kind: type[nn.Module]) -> None:
    model = build(name, task, seed=0).eval()
    assert isinstance(model, kind)
    steps = task.input_shape if task.kind == "next_token" else ()
    assert model(*models.example_inputs(task)).shape == (2, *steps, task.num_outputs)


@pytest.mark.parametrize("name", sorted(MODELS._builtin))
def test_every_builtin_can_be_built_with_every_option_of_its_own(name: str) -> None:
    task = TEXT if name == "lstm" else WIDE
    with torch.device("meta"):
        defaults = {key: option.default for key, option in model_options(name).items()}
        assert inspect.Parameter.empty not in defaults.values()
        assert not set(defaults) & set(FACTS)
        assert sum(p.numel() for p in build(name, task, **defaults).parameters()) == sum(
            p.numel() for p in build(name, task).parameters()
        )


def test_options_reach_the_factory() -> None:
    model = build("auto", TABLE, hidden=(7,), activation="tanh")
    assert isinstance(model, MLP)
    assert [table.num_embeddings for table in model.embeddings] == [9, 16]
    assert isinstance(model.get_submodule("hidden.0.activation"), nn.Tanh)


def test_facts_are_those_that_the_task_has() -> None:
    assert facts(DIGITS)["image_size"] == 8
    assert facts(WIDE)["image_size"] == (20, 32)
    assert facts(WIDE)["in_features"] == 3 * 20 * 32
    assert facts(VOWELS)["input_size"] == 12
    assert facts(TEXT)["vocab_size"] == 65
    assert facts(TEXT)["input_size"] is None
    for task in (DIGITS, WIDE, TABLE, VOWELS, FORECAST, TEXT, NAMES):
        known = facts(task)
        assert set(known) <= set(FACTS)
        assert ("in_channels" in known) == (task.input_kind == "image")
        assert ("vocab_size" in known) == (task.input_kind == "tokens")
        assert ("in_features" in known) == (task.input_kind != "tokens" and not task.has_lengths)


def test_seeds_hold_for_ours_and_for_a_factory_without_one() -> None:
    @register("plain")
    def plain(in_features: int, num_outputs: int) -> nn.Module:
        return nn.Linear(in_features, num_outputs)

    torch.manual_seed(1)
    before = torch.get_rng_state()
    for name in ("lenet", "plain"):
        first, second, other = (list(build(name, DIGITS, seed=seed).parameters()) for seed in (3, 3, 4))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert not torch.equal(first[0], other[0])
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_seed_the_global_generator_decides() -> None:
    torch.manual_seed(1)
    first = next(build("mlp", DIGITS).parameters())
    assert not torch.equal(first, next(build("mlp", DIGITS).parameters()))
    torch.manual_seed(1)
    assert torch.equal(first, next(build("mlp", DIGITS).parameters()))


def test_a_factory_gets_the_facts_it_names_and_nothing_else() -> None:
    seen: dict[str, object] = {}

    @register
    def nosy(num_classes: int, image_size: int, task: Task, *, width: int = 3, seed: int | None = None) -> nn.Module:
        seen.update(num_classes=num_classes, image_size=image_size, task=task, width=width, seed=seed)
        return nn.Identity()

    build("nosy", DIGITS, seed=5, width=4)
    assert seen == {"num_classes": 10, "image_size": 8, "task": DIGITS, "width": 4, "seed": 5}
    assert list(model_options("nosy")) == ["width"]
    assert model_options("nosy")["width"].default == 3


def test_a_class_is_a_factory_too() -> None:
    @register("my_net")
    class Net(nn.Module):
        def __init__(self, in_features: int, num_outputs: int, depth: int = 2) -> None:
            super().__init__()
            self.layers = nn.Sequential(*(nn.Linear(in_features, num_outputs) for _ in range(depth)))

    model = build("my_net", DIGITS, depth=3, seed=0)
    assert isinstance(model, Net)
    assert len(model.layers) == 3
    assert list(model_options("my_net")) == ["depth"]


def test_a_factory_with_keywords_takes_any_option() -> None:
    @register("open")
    def flexible(num_outputs: int, **options: object) -> nn.Module:
        model = nn.Linear(2, num_outputs)
        model.options = options  # type: ignore[assignment]
        return model

    assert build("open", DIGITS, width=3, depth=2).options == {"width": 3, "depth": 2}
    assert list(model_options("open")) == []


def test_a_factory_keeps_its_own_defaults_for_what_the_task_lacks() -> None:
    @register("either")
    def either(num_outputs: int, vocab_size: int = 100) -> nn.Module:
        return nn.Embedding(vocab_size, num_outputs)

    assert build("either", DIGITS).get_parameter("weight").shape == (100, 10)
    assert build("either", TEXT).get_parameter("weight").shape == (65, 65)


def told(call: Callable[[], object], error: type[ConfigError] | type[ModelError]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_unknown_models_are_told_with_the_closest_name() -> None:
    @register("my_lenet_two")
    def mine(num_outputs: int) -> nn.Module:
        return nn.Identity()

    text = told(lambda: build("lenett", DIGITS), ConfigError)
    assert "unknown model\n  received: 'lenett'" in text
    assert "my_lenet_two" in text
    assert "did you mean 'lenet'?" in text
    assert "did you mean 'my_lenet_two'?" in told(lambda: model_options("my_lenet_too"), ConfigError)


def test_unknown_options_are_told_at_once() -> None:
    text = told(lambda: build("lenet", DIGITS, widht=2, num_classes=3, colour=1), ConfigError)
    assert "unknown option of the model 'lenet'\n  received: widht\n  allowed:  width, activation, dropout" in text
    assert "did you mean 'width'?" in text
    assert "'num_classes' is not an option of a model" in text
    assert "the data decide it" in text
    assert "received: colour" in text


def test_unknown_options_of_a_users_model() -> None:
    @register("mine")
    def mine(num_outputs: int, *, depth: int = 2) -> nn.Module:
        return nn.Identity()

    text = told(lambda: build("mine", DIGITS, dept=2), ConfigError)
    assert "unknown option of the model 'mine'\n  received: dept\n  allowed:  depth" in text
    assert "did you mean 'depth'?" in text


def test_missing_options_are_told() -> None:
    @register("mine")
    def mine(num_outputs: int, *, depth: int, width: int) -> nn.Module:
        return nn.Identity()

    text = told(lambda: build("mine", DIGITS, depth=2), ConfigError)
    assert "the model 'mine' needs settings that have no default" in text
    assert "to do:    give width" in text


def test_wrong_values_are_told_by_the_factory() -> None:
    text = told(lambda: build("mlp", TABLE, hidden=(0,), activation="rleu"), ConfigError)
    assert "'hidden' is not a usable number\n  received: 0" in text
    assert "did you mean 'relu'?" in text


@pytest.mark.parametrize(
    ("name", "task", "received", "allowed", "fitting"),
    [
        ("lenet", TABLE, "table (6,) for classification", "lenet takes image for", "mlp;"),
        ("resnet18", VOWELS, "series (29, 12) with lengths for classification", "resnet18 takes image for", "lstm;"),
        ("mlp", VOWELS, "series (29, 12) with lengths for classification", "mlp takes vector or table or", "lstm;"),
        ("mlp", TEXT, "tokens (128,) for next_token", "mlp takes vector or table or", "lstm;"),
        ("lstm", DIGITS, "image (1, 8, 8) for classification", "lstm takes series or tokens for", "mlp, lenet"),
    ],
)
def test_misfits_are_told_with_what_fits(name: str, task: Task, received: str, allowed: str, fitting: str) -> None:
    text = told(lambda: build(name, task), ModelError)
    assert f"the model '{name}' does not fit the data\n  received: {received}\n  allowed:  {allowed}" in text
    assert f"choose one that fits: {fitting}" in text


def test_facts_that_a_users_model_needs_and_the_data_lack() -> None:
    @register("images_only")
    def images_only(num_outputs: int, in_channels: int) -> nn.Module:
        return nn.Identity()

    @register("tokens_only")
    def tokens_only(num_outputs: int, vocab_size: int) -> nn.Module:
        return nn.Identity()

    text = told(lambda: build("images_only", TABLE), ModelError)
    assert "allowed:  data with in_channels (channels of an image)" in text
    assert "such as 'mlp'" in text
    assert "data with vocab_size (distinct input tokens)" in told(lambda: build("tokens_only", DIGITS), ModelError)


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("made", [None, 3, nn.Linear])
def test_what_is_no_model_is_refused(made: object, seed: int | None) -> None:
    @register("empty")
    def empty(num_outputs: int) -> object:
        return made

    text = told(lambda: build("empty", DIGITS, seed=seed), ModelError)
    assert f"the factory of 'empty' made no model\n  received: {type(made).__name__}" in text
    assert "allowed:  a torch.nn.Module" in text


def test_the_names_of_the_room_are_its_factories() -> None:
    assert set(MODELS._builtin) <= set(models.__all__)
    for name in models.__all__:
        assert callable(getattr(models, name))  # not the module of the same name
    for name in MODELS._builtin:
        assert MODELS.get(name) is getattr(models, name)
