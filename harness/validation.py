"""Sections of files as validated settings, and one sentence for each of pydantic's findings in them.

A wrong key names the nearest right one, a wrong value its bounds with their unit, and both the line of the file.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, core_schema
from typing_extensions import override

from harness.errors import ExperimentError, UnitError
from harness.units import duration, parse, show
from harness.wording import did_you_mean, nearest

PLUGGED = "plug-in"
"""Stands for the kinds of a section that plug-ins bring."""
Validated = TypeVar("Validated", bound=BaseModel)
Names = tuple[str, ...]
"""A dotted key, by its parts."""
_SMALLEST, _LARGEST = 1e-30, 1e15
"""Size of quantities, in SI units: beyond these, products of a few of them leave the range of floats."""


@dataclass(frozen=True)
class Unit:
    """Mark of a float that `parse` reads with its unit."""

    symbol: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def _read(self, value: object) -> float:
        found = self._number(value)
        if found and not _SMALLEST <= abs(found) <= _LARGEST:
            bounds = f"0 or between {_SMALLEST:g} and {_LARGEST:g} {self.symbol}".rstrip()
            raise UnitError(f"{found:g} {self.symbol}".rstrip() + f" is no figure of a circuit; write {bounds} in size")
        return found

    def _number(self, value: object) -> float:
        return parse(value, self.symbol)


@dataclass(frozen=True)
class TimeUnit(Unit):
    """Mark of a time that `duration` reads, in s, min, h, d or y."""

    @override
    def _number(self, value: object) -> float:
        return duration(value)


@dataclass(frozen=True)
class In:
    """Mark of a number that counts in something that files do not write, for the reference of keys."""

    what: str
    """Such as °C, or g_unit."""


Volts = Annotated[float, Unit("V")]
Siemens = Annotated[float, Unit("S")]
Amperes = Annotated[float, Unit("A")]
Seconds = Annotated[float, Unit("s")]
Duration = Annotated[float, TimeUnit("s")]
Ohms = Annotated[float, Unit("Ohm")]
Farads = Annotated[float, Unit("F")]
Kelvin = Annotated[float, Unit("K")]
Hertz = Annotated[float, Unit("Hz")]
Number = Annotated[float, Unit("")]
Positive = Annotated[Number, Field(gt=0)]
Whole = Annotated[int, Field(strict=True)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
Flag = Annotated[bool, Field(strict=True)]


class Section(BaseModel):
    """A section of a file: frozen, and without keys that nobody reads."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        defer_build=True,  # of the parts of a file's settings, those are built that something is read with
    )


class MismatchError(ValueError):
    """A value that is fine alone but not beside another one."""

    def __init__(self, key: str, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.key, self.value = key, value


class InnerError(ValueError):
    """An error in a part of a section that a model of somebody else's describes: the options of a plug-in.

    Behind every finding it is said `whose` they are; `key` is that of the part within what was validated, if it is one.
    """

    def __init__(self, model: type[BaseModel], error: ValidationError, whose: str, key: str = "") -> None:
        super().__init__(str(error))
        self.model, self.problems, self.whose, self.key = model, error.errors(), whose, key


def first_finding(error: ValidationError) -> str:
    """Return pydantic's first finding in a file that commands write: the key, and a few words on what is wrong."""
    first = error.errors()[0]
    message = _WANTED.get(first["type"], first["msg"].replace("Input should", "must").removeprefix("Value error, "))
    return f"{'.'.join(map(str, first['loc']))}: {message}" if first["loc"] else message


def validated(model: type[Validated], content: object, where: Callable[[Names], str]) -> Validated:
    """Return a model of a file's content; `where` says in which line a key is.

    Raises:
        ExperimentError: a sentence for each key or value that is wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ExperimentError("\n".join(explain(problem, model, where) for problem in error.errors())) from error


def places_in(text: str, source: str) -> Callable[[Names], str]:
    """Return a function that says in which line of a TOML text a key is."""

    def where(names: Names) -> str:
        line = line_of(text, names)
        return f"{source}, line {line}" if line else source

    return where


def explain(problem: ErrorDetails, root: type[BaseModel], where: Callable[[Names], str], inside: Names = ()) -> str:
    """One sentence for one of pydantic's findings in a `root` model, which as a whole stands under the key `inside`.

    `where` says in which line a key is.
    """
    found, context, value = _place(problem["loc"], root, inside), problem.get("ctx", {}), problem["input"]
    message = problem["msg"].replace("Input should", "must").removeprefix("Value error, ")
    names, key = found.names, found.key
    match problem["type"]:
        case "extra_forbidden":
            return f"{where(names)}: {_unknown(found, root)}"
        case "missing" if not found.item:
            return f"{where(names)}: key {key!r} is missing"
        case "union_tag_not_found" | "union_tag_invalid":
            names, key = (*names, "kind"), f"{key}.kind"
            known = [kind for model in found.inner for kind in kinds_of(model)]
            kinds = " or ".join(map(repr, known))
            if problem["type"] == "union_tag_not_found":
                return f"{where(names)}: key {key!r} is missing; it must be {kinds}"
            value = value["kind"]
            message = f"must be {kinds}{did_you_mean(str(value), known)}"
        case "literal_error" | "enum":
            message += did_you_mean(str(value), re.findall("'([^']*)'", context["expected"]))
        case "value_error" if isinstance(error := context["error"], InnerError):
            below = (*names, error.key) if error.key else names
            told = [explain(inner, error.model, where, below) + f" ({error.whose})" for inner in error.problems]
            return "\n".join(told)
        case "value_error":
            if isinstance(error := context["error"], MismatchError):
                names = (*names, *error.key.split("."))
                key = ".".join(names) + ("" if error.value is None else f" = {error.value!r}")
            return f"{where(names)}: {key}: {message}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            message = f"must be {bounds_of(found.field)}"
        case "missing" | "too_long":
            count = len(get_args(found.field.annotation)) if found.field else 0
            return f"{where(names)}: {'.'.join(names)}: must be a list of {count} values"
        case kind:
            message = _WANTED.get(kind, message)
    return f"{where(names)}: {key} = {value!r}: {message}"


_WANTED = {
    "int_type": "must be a whole number",
    "string_type": "must be a text in quotes",
    "path_type": "must be a text in quotes",
    "string_pattern_mismatch": "must be made of letters, digits, _ and -, and start with a letter or digit",
    "tuple_type": "must be a list",
    "dict_type": "must be a section, not a value",
    "model_type": "must be a section, not a value",
    "model_attributes_type": "must be a section, not a value",
}
"""Messages for kinds of pydantic's problems that need no more than a sentence."""


@dataclass(frozen=True)
class _Place:
    """The place of a problem that pydantic found."""

    names: Names
    """The dotted key, by its parts."""
    item: str
    """``[index]`` in a list, or nothing."""
    field: FieldInfo | None
    """The key's declaration, if it has one."""
    section: Sequence[type[BaseModel]]
    """Models of the section that the key is in; several while its kind is not known."""
    inner: Sequence[type[BaseModel]]
    """Models of the key itself, if it is a section."""

    @property
    def key(self) -> str:
        return ".".join(self.names) + self.item


def said(value: Any, unit: str) -> str:
    """A key's value as people write it, with its unit if it has one."""
    match value:
        case None:
            return "not set"
        case list() | tuple():
            return f"[{', '.join(said(part, unit) for part in value)}]"
        case float() if unit:
            return show(value, unit)
    return repr(value)


def _place(location: Sequence[str | int], root: type[BaseModel], inside: Names) -> _Place:
    names = list(inside)
    item, field = "", None
    section: list[type[BaseModel]] = []
    inner: list[type[BaseModel]] = [root]
    for part in location:
        if isinstance(part, int):
            item += f"[{part}]"
        elif len(inner) > 1 and (chosen := [model for model in inner if part in _kinds(model)]):
            inner = chosen  # pydantic puts the kind of a section into the path of an error
        else:
            names.append(part)
            fields = [model.model_fields[part] for model in inner if part in model.model_fields]
            field = fields[0] if fields else None
            section, inner = inner, [model for one in fields for model in models_in(one.annotation)]
    return _Place(tuple(names), item, field, section, inner)


def _kinds(model: type[BaseModel]) -> Sequence[str]:
    return kinds_of(model) or (PLUGGED,)


def kinds_of(model: type[BaseModel]) -> Sequence[str]:
    """The kinds of a section that a model is for; none for those of plug-ins, and for a section without kinds."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _unknown(found: _Place, root: type[BaseModel]) -> str:
    """Return the message on a key that the section does not take, with the nearest right one."""
    name, key = found.names[-1], found.key
    if key in (everywhere := list(_dotted(root))):
        return f"key {key!r} does not go with kind = {_kinds(found.section[0])[0]!r}"
    known = sorted({field for model in found.section for field in model.model_fields})
    close = list(dict.fromkeys(other for other in everywhere if other.endswith(f".{name}")))
    if not close and (near := nearest(name, known)):
        close = [near]
    if close:
        return f"unknown key {key!r}; did you mean {' or '.join(map(repr, close))}?"
    return f"unknown key {key!r}; known keys here: {', '.join(known)}"


def _dotted(model: type[BaseModel], start: str = "") -> Iterator[str]:
    """Every key of a section and of those in it."""
    for name, field in model.model_fields.items():
        yield start + name
        for inner in models_in(field.annotation):
            yield from _dotted(inner, f"{start}{name}.")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections that a key may hold: several where they have kinds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def unit_in(field: FieldInfo) -> str:
    """The unit of a key, or of the numbers in its list or table; nothing where it has none."""
    return next((mark.symbol for mark in _marks_in(field) if isinstance(mark, Unit)), "")


def counted_in(field: FieldInfo) -> str:
    """The count that `In` marks a key with; nothing where it has no such mark."""
    return next((mark.what for mark in _marks_in(field) if isinstance(mark, In)), "")


def bounds_of(field: FieldInfo | None) -> str:
    """The bounds of a number (or of the numbers in a list), with their unit."""
    marks = list(_marks_in(field)) if field else []
    unit = unit_in(field) if field else ""
    bounds: list[str] = []
    for mark in marks:
        match mark:
            case Gt(gt=bound):
                bounds.append(f"above {_quantity(bound, unit)}")
            case Ge(ge=bound):
                bounds.append(f"at least {_quantity(bound, unit)}")
            case Lt(lt=bound):
                bounds.append(f"below {_quantity(bound, unit)}")
            case Le(le=bound):
                bounds.append(f"at most {_quantity(bound, unit)}")
    return " and ".join(bounds)


def _quantity(value: Any, unit: str) -> str:
    return show(value, unit) if unit else f"{value}"


def unit_of(key: str, root: type[BaseModel]) -> str:
    """The unit that a dotted key of a `root` model is in; nothing where it has none, or where its kinds differ."""
    models: list[type[BaseModel]] = [root]
    fields: list[FieldInfo] = []
    for part in key.split("."):
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        models = [inner for field in fields for inner in models_in(field.annotation)]
    units = {mark.symbol for field in fields for mark in _marks_in(field) if isinstance(mark, Unit)}
    return units.pop() if len(units) == 1 else ""


def _marks_in(declared: Any) -> Iterator[Any]:
    """Yield a declaration and all that its annotations contain, at any depth."""
    if isinstance(declared, FieldInfo):
        inner: Iterable[Any] = (*declared.metadata, declared.annotation)
    else:
        inner = get_args(declared)
    yield declared
    for one in inner:
        yield from _marks_in(one)


def line_of(text: str, path: Names) -> int | None:
    """The line of a key (or of its nearest section) in TOML as people write it: ``[section]`` and ``key =``."""
    section: Names = ()
    found: int | None = None
    depth = 0
    in_text = False
    for number, line in enumerate(text.splitlines(), start=1):
        inside, in_text = in_text, in_text ^ (len(re.findall(r'"""|' + "'''", line)) % 2 == 1)
        if inside:
            continue
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
            section = _parts(header.group(1))
            if section == path[: len(section)] and len(section) > depth:
                found, depth = number, len(section)
        elif key := re.match(r"\s*([\w.\"' -]+?)\s*=", line):
            here = section + _parts(key.group(1))
            if here == path[: len(here)]:
                return number
    return found


def _parts(key: str) -> Names:
    return tuple(part.strip().strip("\"'") for part in key.split("."))
