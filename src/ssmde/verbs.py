"""What the words behind a verb mean: read by tyro from the signature and docstring of its function.

A parameter in front of the star is a word by its place, one behind it an option; what stands under
`Args:` is its help. What no word can say, such as a loaded network, is left to Python. Signatures
are taken from the source: to import a verb takes seconds, for torch, before its help is there.
"""

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import field, make_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro
from tyro.conf import Positional, UseAppendAction, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

PYTHON_ONLY = ("photos", "show_progress")
"""Parameters without an option."""
PLACES = {
    ("predict", "weights"): "[WEIGHTS]",  # with two words the function takes its own
    ("predict", "source"): "INPUT", ("predict", "out"): "OUT", ("adapt", "source"): "FILM",
    ("odometry", "source"): "WEIGHTS", ("benchmark", "methods"): "METHOD",
}  # fmt: skip
"""Words by their place that are not called like their parameters."""
NUMBERS = {"size": "HEIGHT WIDTH", "resolution": "HEIGHT WIDTH", "intrinsics": "FX FY CX CY"}
"""Options of several numbers."""
SECTION = re.compile(r"^(Args|Example|Raises|Returns|Yields):\n", re.MULTILINE)
SCALARS = (str, Path, float, int, bool)
"""What a word can say; of two that a parameter takes, the first."""
PARSING = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)


def read_words(verb: str, function: Callable[..., Any], words: Sequence[str]) -> dict[str, Any]:
    """The arguments of a function that the words behind its verb give; SystemExit after help."""
    description, helps = _read_docstring(inspect.getdoc(function) or "")
    parameters = inspect.signature(function, eval_str=True).parameters
    options = [_option(verb, one, helps.get(name)) for name, one in parameters.items()]
    return vars(tyro.cli(
        make_dataclass(verb, filter(None, options), kw_only=True), args=words,
        prog=f"ssmde {verb}", description=description, config=PARSING, registry=REGISTRY,
    ))  # fmt: skip


@cache
def find_name(module: str, name: str) -> Any:
    """A name of a module; of one of this package by its source, without importing it."""
    if module.startswith("ssmde."):
        return _Names(module)[name]
    return getattr(import_module(module), name)


class _Names(dict[str, Any]):
    """Names of a module, evaluated when asked for: signature and docstring of a function."""

    def __init__(self, module: str) -> None:
        path = Path(__file__).parent.joinpath(*module.split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        self.nodes = [*ast.walk(ast.parse(path.read_text("utf-8")))]  # from the top level down

    def __missing__(self, name: str) -> Any:
        for node in self.nodes:
            match node:
                case ast.ImportFrom(module=str(home)) if name in [n.name for n in node.names]:
                    self[name] = find_name(home, name)
                case ast.ClassDef() if node.name == name:
                    self[name] = type(name, (), {})
                case ast.FunctionDef() if node.name == name:
                    node.body, node.decorator_list, node.returns = node.body[:1], [], None
                    exec(compile(ast.Module([node], []), name, "exec"), {}, self)
                case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                    self[name] = eval(compile(ast.Expression(node.value), name, "eval"), {}, self)
                case _:
                    continue
            return self[name]
        raise KeyError(name)  # Python goes on among its own


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Text and example of a docstring, and the help of each parameter on one line."""
    shown, *rest = SECTION.split(text.replace("`", ""))
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    if "Example" in sections:
        shown += f"Example:\n{sections['Example']}"
    found = re.findall(r"(?ms)^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", sections.get("Args", ""))
    return shown.strip(), {name: " ".join(words.split()) for name, words in found}


def _option(
    verb: str, parameter: inspect.Parameter, text: str | None
) -> tuple[str, Any, Any] | None:
    """A parameter as a field that tyro reads; None if the command line does not have it."""
    name, default = parameter.name, parameter.default
    kind = _readable(parameter.annotation, many=default == ())
    if kind is None or name in PYTHON_ONLY:
        return None
    required = default is parameter.empty
    metavar = NUMBERS.get(name)
    hint = "" if any(default is value for value in (None, False, ())) else None
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
        kind = Positional[kind]
        metavar = PLACES.get((verb, name), (name if required else f"[{name}]").upper())
        if not metavar.startswith("["):
            hint = "(required)"  # also where the function itself refuses that it is left out
        elif required:  # `predict` says itself what is missing
            default, hint, required = "", "", False
    else:
        if Path in _members(parameter.annotation):
            metavar = "PATH"
        if _is_several(kind):
            kind = UseAppendAction[kind]  # an option that may be given several times
    shown = arg(metavar=metavar, help=text, help_behavior_hint=hint)
    return name, Annotated[kind, shown], field() if required else field(default=default)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; another type alone."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _is_several(kind: Any) -> bool:
    return get_origin(kind) is tuple and Ellipsis in get_args(kind)


def _readable(annotation: Any, *, many: bool = False) -> Any:
    """The part of a type that words can say, rather several than one if `many`; None without."""
    origin = get_origin(annotation)
    if annotation in SCALARS or origin in (Literal, tuple):
        return annotation
    if origin in (Sequence, list):
        one = _readable(get_args(annotation)[0])
        return None if one is None else tuple[one, ...]

    def rank(kind: Any) -> int:
        if _is_several(kind):
            return -1 if many else len(SCALARS) + 1
        return SCALARS.index(kind) if kind in SCALARS else len(SCALARS)

    kinds = [_readable(a, many=many) for a in _members(annotation) if a is not annotation]
    best = min((kind for kind in kinds if kind is not None), key=rank, default=None)
    return best | None if best and NoneType in _members(annotation) else best


SHOWN = {None: "none", True: "true", False: "false"}
REGISTRY = ConstructorRegistry()
"""How values are read and shown, where tyro would do it otherwise."""


@REGISTRY.primitive_rule
def _spec(asked: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Switches as in YAML; a path or `none`; one of several words, of which tyro lists None too."""
    kinds = _members(asked.type)
    choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), None)
    read: Callable[[str], Any] = str
    if asked.type is bool:
        metavar, read = "true|false", _truth
    elif set(kinds) == {Path, NoneType}:
        metavar, read = "PATH", Path
    elif choices and len(kinds) == 2 and NoneType in kinds:
        metavar = f"{{{','.join(choices)}}}"
    else:
        return None
    return PrimitiveConstructorSpec(
        nargs=1, metavar=metavar, choices=choices,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: value is None or isinstance(value, str | bool | Path),
        str_from_instance=lambda value: [SHOWN.get(value, str(value))],
    )  # fmt: skip


def _truth(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise ValueError(f"expected true or false, got {word!r}")
    return word.lower() == "true"
