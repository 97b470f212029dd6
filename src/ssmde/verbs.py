"""What the words behind a verb mean: read by tyro from the signature and docstring of its function.

A parameter in front of the star is a word by its place, one behind it an option; what stands under
`Args:` is its help. What no word can say, such as a loaded network, is left to Python.
"""

import inspect
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro
from tyro.conf import FlagConversionOff, Positional, UseAppendAction, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from ssmde.config import Config, differences, read_config, refuse_idle
from ssmde.console import is_later_rank
from ssmde.presets import PRESETS, find_preset

PYTHON_ONLY = ("photos", "show_progress")
"""Parameters without an option."""
PLACES = {
    ("adapt", "source"): "FILM",
    ("predict", "weights"): "[WEIGHTS]",  # with two words the function takes its own
    ("predict", "source"): "INPUT",
    ("predict", "out"): "OUT",
    ("odometry", "source"): "WEIGHTS",
    ("benchmark", "methods"): "METHOD",
}
"""Words by their place that are not called like their parameters."""
NUMBERS = {"size": "HEIGHT WIDTH", "resolution": "HEIGHT WIDTH", "intrinsics": "FX FY CX CY"}
"""Options of several numbers."""
SECTIONS = ("Args:", "Example:", "Raises:", "Returns:", "Yields:")
SCALARS = (str, Path, float, int, bool)
"""What a word can say; of two that a parameter takes, the first."""
PARSING = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)


def read_words(verb: str, function: Callable[..., Any], words: Sequence[str]) -> partial[Any]:
    """The call of a function that the words behind its verb ask for.

    Raises:
        SystemExit: After help was printed, or a word that does not fit was explained.
    """
    description, helps = _read_docstring(inspect.getdoc(function) or "")
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    options = [
        option
        for parameter in parameters
        if (option := _option(verb, parameter, helps.get(parameter.name))) is not None
    ]
    found = tyro.cli(
        make_dataclass(verb, options, kw_only=True),
        args=words,
        prog=f"ssmde {verb}",
        description=description,
        config=PARSING,
        registry=WORDS,
    )
    return partial(function, **vars(found))


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Text and example of a docstring, and the help of each parameter on one line."""
    text = text.replace("`", "")
    shown, helps, section, name = list[str](), dict[str, str](), "", ""
    for line in text.splitlines():
        section = line if line in SECTIONS else section
        if section in ("", "Example:"):
            shown.append(line)
        elif section == "Args:" and (start := re.match(r" {4}(\w+): (.*)", line)):
            name, helps[name] = start.groups()
        elif section == "Args:" and name:
            helps[name] = f"{helps[name]} {line.strip()}".strip()
    return "\n".join(shown).strip(), helps


def _option(
    verb: str, parameter: inspect.Parameter, text: str | None
) -> tuple[str, Any, Any] | None:
    """A parameter as a field that tyro reads; None if the command line does not have it."""
    by_place = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    kind = _readable(parameter.annotation, many=parameter.default == ())
    if kind is None or parameter.name in PYTHON_ONLY:
        return None
    has_default = parameter.default is not parameter.empty
    metavar = NUMBERS.get(parameter.name)
    if by_place:
        own = f"[{parameter.name}]" if has_default else parameter.name
        metavar = PLACES.get((verb, parameter.name), own.upper())
    elif Path in _members(parameter.annotation):
        metavar = "PATH"
    silent = any(parameter.default is value for value in (None, False, ()))
    hint = "" if silent else None
    if by_place and not (metavar or "").startswith("["):
        hint = "(required)"  # also where the function itself refuses that it is left out
    if by_place:
        kind = Positional[kind]
    elif get_origin(kind) is tuple and Ellipsis in get_args(kind):
        kind = UseAppendAction[kind]  # an option that may be given several times
    default = parameter.default
    if by_place and not has_default and hint is None:  # `predict` says itself what is missing
        default = hint = ""
    shown = arg(metavar=metavar, help=text, help_behavior_hint=hint)
    given = field() if default is parameter.empty else field(default=default)
    return parameter.name, Annotated[kind, shown], given


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; another type alone."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _readable(annotation: Any, *, many: bool = False) -> Any:
    """The part of a type that words can say; None if there is none.

    Args:
        annotation: The type.
        many: Rather several words than one.
    """
    origin = get_origin(annotation)
    if annotation in SCALARS or origin in (Literal, tuple):
        return annotation
    if origin in (Sequence, list):
        one = _readable(get_args(annotation)[0])
        return None if one is None else tuple[one, ...]
    kinds = [_readable(a, many=many) for a in _members(annotation) if a is not annotation]
    kinds = [kind for kind in kinds if kind is not None]
    if not kinds:
        return None

    def rank(kind: Any) -> int:
        if get_origin(kind) is tuple and Ellipsis in get_args(kind):
            return -1 if many else len(SCALARS) + 1
        return SCALARS.index(kind) if kind in SCALARS else len(SCALARS)

    best = min(kinds, key=rank)
    return best | None if NoneType in _members(annotation) else best


@dataclass(frozen=True, kw_only=True, slots=True)
class Train:
    """Train a depth network and a pose network on scene folders.

    Every field of the configuration is an option; PRESET or FILE give the values it starts from.

    Example:
      ssmde train photometric --data.root data --data.frame-gaps 3 5 8
      ssmde train photometric --data.root data --data.frame-gaps 3 5 8 --resume
      ssmde train --config runs/photometric/config.yaml --name again --train.seed 1
    """

    preset: Positional[Annotated[str | None, arg(metavar="PRESET", help_behavior_hint="")]] = None
    """ss_mde, ss_mde_abstract, photometric, consistent, sc_depth_v3 or affine_indoor; the first
    word after train."""
    file: Annotated[Path | None, arg(name="config", metavar="FILE", help_behavior_hint="")] = None
    """Instead of PRESET: YAML with the fields that differ from the defaults."""
    resume: bool = False
    """Go on in the folder of the run: the same command again, with this at its end."""
    config: Annotated[FlagConversionOff[Config], arg(name="")] = field(default_factory=Config)

    def __call__(self) -> str | None:
        """Say what a quick look at the data finds, train, and say where the weights are."""
        from ssmde.models.registry import ENCODERS, find_weights

        root, model = self.config.data.root, self.config.model
        if model.pretrained != "none" and model.encoder in ENCODERS:
            find_weights(model.encoder, model.pretrained)  # at once, before all that is slow

        from ssmde.data.shards import is_packed
        from ssmde.diagnosis import doctor
        from ssmde.training import train

        folders = root.is_dir() and not is_packed(root)
        if folders and not self.resume and not is_later_rank():
            photos = self.config.method == "affine_depth"  # learns from single pictures
            found = doctor(root, split="train", quick=True, photos=photos, show_progress=False)
            print(found)
        folder = train(self.config, resume=self.resume)
        if is_later_rank():
            return None
        return f"trained: {folder}\nnext: ssmde evaluate {shlex.quote(str(folder))} DATA"

    def way_on(self, words: Sequence[str]) -> str:
        """How it goes on after it was stopped."""
        folder = self.config.output / self.config.name
        if self.config.method != "both" and not (folder / "last.ckpt").exists():
            return f"there is no checkpoint yet: delete {folder} and start again"
        again = [*(word for word in words if word != "--resume"), "--resume"]
        return f"go on with: ssmde train {shlex.join(again)}"


WORDS, SWITCHES = ConstructorRegistry(), ConstructorRegistry()
"""How values are read and shown: of the functions, and of the configuration."""


@WORDS.primitive_rule
def _choice(asked: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[str | None] | None:
    """One of several words, or None where there is none: tyro would list None among them."""
    kinds = _members(asked.type)
    words = [get_args(kind) for kind in kinds if get_origin(kind) is Literal]
    if NoneType not in kinds or len(kinds) != 2 or not words:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(words[0])}}}",
        instance_from_str=lambda given: given[0],
        is_instance=lambda value: value is None or value in words[0],
        str_from_instance=lambda value: [str(value)],
        choices=words[0],
    )


@SWITCHES.primitive_rule
def _path(asked: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path | None] | None:
    """A file or folder, or `none`."""
    if set(_members(asked.type)) != {Path, NoneType}:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: Path(words[0]),
        is_instance=lambda value: value is None or isinstance(value, Path),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


@SWITCHES.primitive_rule
def _switch(asked: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[bool] | None:
    """Switches of the configuration read as in YAML: true or false, after their name."""
    if asked.type is not bool:
        return None

    def read(words: list[str]) -> bool:
        if words[0].lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {words[0]!r}")
        return words[0].lower() == "true"

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="true|false",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, bool),
        str_from_instance=lambda value: [str(value).lower()],
    )


def read_training(words: Sequence[str]) -> Train:
    """The training that the words behind `train` ask for.

    Raises:
        SystemExit: After help was printed, or a word that does not fit was explained.
        ValueError: If there is no start, or one that cannot be read, or an option cannot act.
    """
    start = _start_values(words)
    found = tyro.cli(
        Train,
        args=words,
        prog="ssmde train",
        description=inspect.getdoc(Train),
        config=PARSING,
        registry=SWITCHES,
        default=Train(config=start),
    )
    if found.preset is None and found.file is None:
        raise ValueError(f"give PRESET ({', '.join(PRESETS)}) or --config FILE")
    if found.preset is not None and found.file is not None:
        raise ValueError(f"give PRESET or --config, not both, got {found.preset} and {found.file}")
    if found.preset is not None and found.preset != words[0]:
        raise ValueError(f"PRESET comes first: ssmde train {found.preset}, then the options")
    refuse_idle(differences(start, found.config), found.config)
    return found


def _start_values(words: Sequence[str]) -> Config:
    """The configuration that PRESET or FILE names; the options change its fields."""
    if words and not words[0].startswith("-"):
        return find_preset(words[0])
    for i, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if name == "--config" and (has_value or i + 1 < len(words)):
            return read_config(Path(value if has_value else words[i + 1]))
    return Config()
