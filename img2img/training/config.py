"""From config files and command-line words to a resolved config: constructor signatures are the only schema."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from img2img import methods
from img2img.configured import find_class, nearest
from img2img.data.derive import Derivation
from img2img.data.manifest import channels_in
from img2img.data.module import ImageData
from img2img.devices import DeviceName, PrecisionName
from img2img.errors import ConfigError, Img2ImgError
from img2img.methods.base import TranslationModule
from img2img.networks import discriminators, frozen, generators
from img2img.networks.base import Discriminator, Generator
from img2img.networks.frozen.base import FeatureNetwork
from img2img.training.evaluating import EvaluateOptions
from img2img.training.layers import Named, class_name, flag_tree, lay, merge, read_yaml, split, state_class
from img2img.training.signals import seconds_of
from img2img.training.tracking import WandbOptions

_POSITIVE = (
    "epochs",
    "images",
    "minutes",
    "devices",
    "nodes",
    "validations",
    "samples",
    "save_minutes",
    "keep_every_images",
    "keep",
    "log_every_batches",
)

_PARTS = (Generator, Discriminator, FeatureNetwork)
"""Kinds of network that a method takes as a class with options."""


@dataclass(frozen=True)
class Training:
    """How a training runs, apart from method and data.

    Args:
        epochs: length in epochs; one of epochs, images and minutes.
        images: length in images of the source domain.
        minutes: length in minutes: the learning rate follows the time, and training ends when it is up.
        seed: decides weights, order, draws and what is held out.
        device: auto, cuda, mps or cpu.
        devices: devices to train on, one process each; by default 1, or what torchrun or SLURM have started.
        nodes: machines; torchrun or SLURM start the processes on them and say how many.
        precision: auto takes bf16 where the device multiplies it in hardware, else fp32.
        channels_last: lay tensors out as NHWC; auto does where that is faster.
        compile: torch.compile the networks; auto does where that is faster.
        max_time: stop after this time (90m, 1h30m, 1:30:00), with everything saved; the same command continues.
        guard: off, warn (say when something goes wrong, and what to do) or act (do it).
        validations: how often, evenly over the training, held-out images are scored and shown.
        evaluate: FID and others of img2img evaluate at some of these: every so many, metrics, best_by, images, weights.
        samples: held-out images on the panels.
        save_minutes: minutes between checkpoints; one is also made at each validation, at the end and on Ctrl-C.
        keep_every_images: keep a checkpoint every so many images, besides the last and the best one.
        keep: how many of those, the newest.
        log_every_batches: batches between two rows of metrics.csv.
        wandb: log to Weights & Biases: mode (online, offline or off), project, group, tags and more.
        tensorboard: log to TensorBoard too.
        init_from: translator to take the generators' first weights from.

    Raises:
        ValueError: unless at most one length is given, and everything is positive.
    """

    epochs: float | None = None
    images: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: DeviceName = "auto"
    devices: int | None = None
    nodes: int | None = None
    precision: PrecisionName = "auto"
    channels_last: bool | Literal["auto"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    max_time: str | None = None
    guard: Literal["off", "warn", "act"] = "warn"
    validations: int = 20
    evaluate: EvaluateOptions = EvaluateOptions()  # noqa: RUF009 (frozen)
    samples: int = 6
    save_minutes: float = 5.0
    keep_every_images: int | None = None
    keep: int = 5
    log_every_batches: int = 10
    wandb: WandbOptions = WandbOptions()  # noqa: RUF009 (frozen)
    tensorboard: bool = False
    init_from: str | None = None

    def __post_init__(self) -> None:
        """Refuse contradictory lengths and empty counts."""
        lengths = {
            name: getattr(self, name) for name in ("epochs", "images", "minutes") if getattr(self, name) is not None
        }
        if len(lengths) > 1:
            raise ValueError(
                f"expected one length, got {' and '.join(f'{k} {v:g}' for k, v in lengths.items())}: leave one out"
            )
        if self.max_time is not None:
            seconds_of(self.max_time)
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"training.{name}: expected more than 0, got {value}")


class Resolved:
    """A parsed config: plain data to save, and the objects it describes.

    Args:
        parser: that made it.
        namespace: the parsed values.
    """

    def __init__(self, parser: ArgumentParser, namespace: Namespace) -> None:
        self._parser, self._namespace = parser, namespace

    @property
    def tree(self) -> dict[str, Any]:
        """The config as plain data: what is saved, compared and logged; ``-c`` reads it back."""
        tree: dict[str, Any] = yaml.safe_load(self._parser.dump(self._namespace))
        return tree

    def build(self) -> tuple[TranslationModule, ImageData, Training]:
        """Construct method, data and training options; weights are drawn from the training's seed.

        Raises:
            ConfigError: if options contradict one another.
        """
        torch.manual_seed(self._namespace.training.seed)
        try:
            built = self._parser.instantiate(self._namespace)
        except (ValueError, TypeError) as error:
            raise ConfigError(_of_the_part(str(error))) from error
        return built.model, built.data, built.training


def differences(tree: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Return what a config has otherwise than another; a class that differs with all of its options.

    Args:
        tree: plain data of a config.
        default: of the one to compare with.
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        before = default.get(key)
        if value == before:
            continue
        if isinstance(value, dict) and isinstance(before, dict) and class_name(value) == class_name(before):
            found[key] = differences(value, before)
        else:
            found[key] = value
    return found


def resolve(words: Sequence[str]) -> Resolved:
    """Parse ``-c FILE`` and ``--a.b value`` words: later files win over earlier ones, and flags over files.

    A class that a later one names brings its own options alone, whatever the one before had.

    Raises:
        ConfigError: for an unknown key (naming the nearest), a wrong type or a missing value.
    """
    _import_known_parts()
    files, flags = split([_with_underscores(word) for word in words])
    config = lay(read_yaml(file) for file in files)
    for named in _check_keys(lay([config, *(flag_tree(*flag) for flag in flags)])):
        state_class(config, named)
    parser = ArgumentParser(prog="img2img train", exit_on_error=False, default_env=False)
    parser.add_argument("-c", "--config", action="config", help="YAML file; later ones win")
    parser.add_subclass_arguments(TranslationModule, "model", required=True)
    parser.add_class_arguments(ImageData, "data")
    parser.add_argument("--training", type=Training, default=Training())
    refused: list[Img2ImgError] = []
    sources = tuple(f"data.{key}" for key in ("root", "columns", "domains", "to", "channels_a", "channels_b"))
    for number, channels in enumerate(("channels_a", "channels_b")):
        link = functools.partial(_channels, refused, number)
        parser.link_arguments(sources, f"model.init_args.{channels}", compute_fn=link)
    parser.link_arguments("training.seed", "model.init_args.seed")
    parser.link_arguments("training.seed", "data.seed")
    parser.link_arguments("model", "data.paired", compute_fn=_is_paired)
    try:
        said = [f"--config={json.dumps(config)}", *(f"--{name}={value}" for name, value in flags)]
        resolved = Resolved(parser, parser.parse_args(said))
    except ArgumentError as error:
        raise ConfigError(_in_one_line(str(error))) from error
    if refused:
        raise refused[0]
    return resolved


def _channels(
    refused: list[Img2ImgError],
    number: int,
    root: Any,
    columns: Any,
    domains: Any,
    to: Any,
    channels_a: Any,
    channels_b: Any,
) -> Any:
    """Return the channels of a side; a manifest's fault is kept for later, as the parser would say it in ten lines."""
    if root is None:
        return (channels_a, channels_b)[number]
    try:
        return channels_in(root, columns, domains, to, (channels_a, channels_b))[number]
    except Img2ImgError as error:
        refused.append(error)
        return 3


def _is_paired(model: Any) -> bool:
    of_class = find_class(model["class_path"], TranslationModule).paired  # type: ignore[attr-defined]
    return bool(model["init_args"].get("paired", of_class))  # a method that takes either says so


def _with_underscores(word: str) -> str:
    """Return ``--data.batch-size=4`` as ``--data.batch_size=4``."""
    name, equals, value = word.partition("=")
    if not (name.startswith("--") and "." in name):
        return word
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


def _import_known_parts() -> None:
    """Import every method and network, so that configs may use their short names."""
    for package in (methods, generators, discriminators, frozen):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")


def _check_keys(tree: dict[str, Any]) -> list[Named]:
    """Refuse unknown keys and classes, naming the nearest, before the parser says it in ten lines.

    Returns:
        The classes that are named, outer ones first.
    """
    named: list[Named] = []
    sections = {"model": None, "data": ImageData, "training": Training}
    for section, node in tree.items():
        if section not in sections:
            raise ConfigError(f"--{section}: no such section of the config{nearest(section, sections)}")
        if section == "model":
            _check_part(node, "model", None, TranslationModule, named)
        elif isinstance(node, dict):
            _check_options(node, section, sections[section], named)
    return named


def _check_part(node: Any, where: str, default: type | None, base: type, named: list[Named]) -> None:
    """Check the description of a class: a name, or a name and options; add it to those that are named."""
    options: dict[str, Any] = {}
    if isinstance(node, dict):
        merge(options, node.get("init_args") or {})
        merge(options, {k: v for k, v in node.items() if k not in {"class_path", "init_args"}})
    name = node.get("class_path") if isinstance(node, dict) else node
    known = {c.__name__: c for c in _subclasses(base)}
    if name is None:
        cls = default
    elif name in known:
        cls = known[name]
    elif "." in str(name):
        importlib.import_module(str(name).rpartition(".")[0])  # the user's own configuration names the user's own code
        cls = find_class(str(name), base)
    else:
        raise ConfigError(f"--{where} {name}: no such {base.__name__}{nearest(str(name), known)}")
    if cls is not None and name is not None:
        named.append(Named(where, str(name), cls, default))
    if cls is not None:
        _check_options(options, where, cls, named)


def _check_options(options: dict[str, Any], where: str, cls: Any, named: list[Named]) -> None:
    parameters = inspect.signature(cls).parameters
    for key, value in options.items():
        if key not in parameters:
            raise ConfigError(f"--{where}.{key}: {cls.__name__} has no such option{nearest(key, parameters)}")
        default = parameters[key].default
        if cls is ImageData and key == "derive" and value not in (None, "null"):
            _check_part(value, f"{where}.{key}", None, Derivation, named)
        elif isinstance(default, type) and issubclass(default, _PARTS):
            made_by = get_args(get_type_hints(cls.__init__)[key])  # Callable[[int, int], FeatureGenerator]
            _check_part(value, f"{where}.{key}", default, made_by[-1], named)
        elif dataclasses.is_dataclass(default) and isinstance(value, dict):
            _check_options(value, f"{where}.{key}", type(default), named)
        elif dataclasses.is_dataclass(default):
            one = f"--{where}.{key}.{dataclasses.fields(default)[0].name}"
            raise ConfigError(
                f"--{where}.{key} {value}: a group of options, expected one of them, such as {one} {value}"
            )


def _subclasses(base: type) -> list[type]:
    below: list[type] = []
    children: list[type] = base.__subclasses__()
    for child in children:
        below += [child, *_subclasses(child)]
    return [c for c in below if not inspect.isabstract(c)]


def _of_the_part(message: str) -> str:
    """Return what a class itself said when it refused its options, without the parser's account around it."""
    _, _, listed = message.partition("Errors:\n")
    said = re.findall(r"^ +- (.*)$", listed.partition("Given value")[0], re.MULTILINE)
    own = [line for line in said if not line.startswith("Expected a")]
    return "; ".join(own) or " ".join(message.split())


def _in_one_line(message: str) -> str:
    """Shorten the parser's many lines to: which key, what was expected, what came."""
    missing = re.search(r"arguments are required: (.*)", message)
    if missing:
        return f"missing: {missing[1]}" + (
            "; give the data folder with --data DIR" if "data.root" in missing[1] else ""
        )
    keys = ".".join(re.findall(r'[Pp]arser key "([^"]+)"', message))
    expected = [e for e in re.findall(r"Expected an? (.*?)(?:\. Got value|\n|$)", message) if "NoneType" not in e]
    given = re.findall(r"Given value: (.*)", message) or re.findall(r"Got value: (\S+)", message)
    if not (keys and expected and given):
        return " ".join(message.split())
    kinds = " or ".join(dict.fromkeys(_kind(e) for e in expected))
    nested = re.fullmatch(r"NestedArg\(key='(.*)', val=(.*)\)", given[-1])
    came = nested[2].strip("'\"") if nested else given[-1]
    if nested and not keys.endswith(nested[1]):
        keys = f"{keys.split('.')[0]}.{nested[1]}"
    return f"--{keys}: expected {kinds}, got {came}"


def _kind(text: str) -> str:
    literal = re.fullmatch(r"typing\.Literal\[(.*)\]", text)
    if literal:
        return f"one of {literal[1]}"
    return (
        re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).replace("int", "a whole number").replace("float", "a number")
    )
