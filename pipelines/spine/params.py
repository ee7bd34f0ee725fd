"""``params.yaml`` section -> frozen dataclass. No defaults, no merging: every value is written in the file."""

import dataclasses
import typing
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import yaml

from pipelines.spine.errors import CorpusmillError

Params = TypeVar("Params")


def load_params(cls: type[Params], section: str, path: str | Path = "params.yaml") -> Params:
    """The section of the file as an instance of ``cls``.

    Args:
        cls: a frozen dataclass whose fields are the section's keys; nested dataclasses, tuples and dicts too.
        section: the top-level key, a stage's name.
        path: a YAML file.
    Raises:
        CorpusmillError: no such file or section, a missing, unknown or mistyped key; it names the known keys.
    """
    path = Path(path)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorpusmillError(
            "no such parameter file", where=str(path), hint="give --params FILE, or run in the repository root"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CorpusmillError(f"not valid YAML: {' '.join(str(error).split())}", where=str(path)) from None
    if not isinstance(document, dict) or section not in document:
        known = ", ".join(map(str, document)) if isinstance(document, dict) else "none"
        raise CorpusmillError(f"section {section} is missing; known: {known}", where=str(path))
    return typing.cast(Params, _build(cls, document[section], f"{path.name}: {section}"))


def to_jsonable(params: Any) -> Any:
    """A dataclass, or any nesting of them, as plain dicts and lists: what fingerprints and lineage hold."""
    if dataclasses.is_dataclass(params) and not isinstance(params, type):
        return {f.name: to_jsonable(getattr(params, f.name)) for f in dataclasses.fields(params)}
    if isinstance(params, dict):
        return {str(key): to_jsonable(value) for key, value in params.items()}
    if isinstance(params, list | tuple):
        return [to_jsonable(value) for value in params]
    return params


def _build(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(typing.cast(type, kind), value, where)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        plain = [kind for kind in args if kind is not type(None)]
        # Text or a mapping: which of the two is seen by what stands there.
        fitting = [kind for kind in plain if (get_origin(kind) is dict) == isinstance(value, dict)]
        return _build((fitting or plain)[0], value, where)
    if origin in (tuple, list):
        _expect(isinstance(value, list), where, "a list", value)
        return tuple(_build(args[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), where, "a mapping", value)
        for key in value:
            # YAML reads a bare no (Norwegian), on or yes as true or false.
            _expect(isinstance(key, str | int) and not isinstance(key, bool), where, 'keys in quotes: "no"', key)
        return {str(key): _build(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is Any:
        return value
    return _build_scalar(kind, value, where)


def _build_dataclass(cls: type, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), where, "a mapping", value)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for key in value:
        if key not in fields:
            raise CorpusmillError(f"{where}.{key} is not a parameter; known: {', '.join(fields)}")
    for name in fields:
        if name not in value:
            raise CorpusmillError(
                f"{where}.{name} is missing",
                expected=_name(hints[name]),
                hint="every parameter is written in the file; there are no defaults in code",
            )
    return cls(**{name: _build(hints[name], value[name], f"{where}.{name}") for name in fields})


def _build_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    right = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    _expect(right, where, _name(kind), value)
    return value


def _expect(right: bool, where: str, expected: str, value: Any) -> None:
    if not right:
        hint = ""
        if expected == "a number" and isinstance(value, str):
            hint = "YAML reads 6e-4 as text; write 6.0e-4"
        got = f"{value!r} ({type(value).__name__})"
        raise CorpusmillError("wrong type", where=where, expected=expected, got=got, hint=hint)


def _name(kind: Any) -> str:
    words = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    return words.get(kind, getattr(kind, "__name__", str(kind)))
