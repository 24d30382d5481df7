"""Plug-ins: chips, learning rules, costs, data sets and non-idealities that other packages bring.

An installed package offers them as entry points, by a name::

    [project.entry-points."harness.chips"]
    mylab = "mylab.chips:board"

An experiment file says the name and never a module: a name that is not built in is looked up among the entry points of
what the user has installed, and among what Python code has registered, and only the named one is loaded. What the
object behind it must be is said where it is used (`harness.experiment`).
"""

import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError, to_jsonable_python

from harness.errors import ExperimentError, HarnessError, NotFiniteError, PluginError
from harness.validation import InnerError
from harness.wording import did_you_mean

Made = TypeVar("Made")


class Kind(StrEnum):
    """The kinds of plug-ins: each is the last part of its group of entry points."""

    CHIP = "chips"
    RULE = "rules"
    COST = "costs"
    DATA_SET = "datasets"
    NON_IDEALITY = "variations"

    @property
    def words(self) -> str:
        """The words that people use for one of them."""
        return _WORDS[self]


_WORDS = {
    Kind.CHIP: "chip",
    Kind.RULE: "learning rule",
    Kind.COST: "cost",
    Kind.DATA_SET: "data set",
    Kind.NON_IDEALITY: "non-ideality",
}


@dataclass(frozen=True)
class Plugin:
    """A plug-in that is there, loaded or not."""

    kind: Kind
    name: str
    distribution: str | None
    """The package that offers it, as pip calls it; None where Python code has registered it."""
    version: str | None
    package: str | None
    """The module that holds all of it; None where Python code has registered it."""
    get: Callable[[], Any]

    def __str__(self) -> str:
        return f"{self.kind.words} {self.name!r} of {self.source}"

    @property
    def source(self) -> str:
        """The distribution and version that it comes from, or the Python program."""
        return f"{self.distribution} {self.version}" if self.distribution else "this Python program"

    @property
    def hidden(self) -> bool:
        """True where the harness has a part of this kind and name itself, which an experiment's name then means."""
        return self.name in _BUILT_IN.get(self.kind, ())

    @property
    def record(self) -> dict[str, str | None]:
        """The plug-in as a manifest records it."""
        return {"kind": self.kind.value, "name": self.name, "distribution": self.distribution, "version": self.version}

    def load(self) -> Any:
        """Import what stands behind the name, this plug-in and no other.

        Raises:
            PluginError: it cannot be imported, or builds nothing.
        """
        with self.blamed("cannot be loaded"):
            found = self.get()
        if not callable(getattr(found, "build", None)):
            raise PluginError(f"{self} is of type {type(found).__name__}, which has no function build")
        if self.package and self.distribution:
            _LOADED[self.package] = self.distribution
        return found

    def checked(self, options: dict[str, Any], key: str = "") -> dict[str, Any]:
        """Options as plain data; where the plug-in has a model for them, ``Options``, with its defaults in place.

        For `key` see `harness.validation.InnerError`.

        Raises:
            InnerError: a key or value is wrong.
            PluginError: the plug-in fails.
        """
        model = self._model()
        if model is None:
            return dict(to_jsonable_python(options))
        try:
            with self.blamed("fails at its options", ValidationError):
                return model.model_validate(options).model_dump(mode="json", exclude_none=True)
        except ValidationError as error:
            raise InnerError(model, error, str(self), key) from error

    def build(self, wanted: Sequence[str], options: Mapping[str, Any] | None, *given: Any) -> Any:
        """Return what the plug-in builds, which must have the names that are wanted.

        It gets its options first, as its ``Options`` if it has such a model, then all that is given.

        Raises:
            PluginError: the plug-in fails, or builds something else.
        """
        model, plain = self._model(), dict(options or {})
        with self.blamed("cannot be built"):
            built = self.load().build(plain if model is None else model.model_validate(plain), *given)
        return self.having(built, wanted)

    def having(self, built: Made, wanted: Sequence[str]) -> Made:
        """Return what a plug-in made, if it has all that it must have.

        Raises:
            PluginError: it has not.
        """
        if missing := [name for name in wanted if not hasattr(built, name)]:
            raise PluginError(f"{self} makes a {type(built).__name__}, which lacks {', '.join(missing)}")
        return built

    def _model(self) -> type[BaseModel] | None:
        model = getattr(self.load(), "Options", None)
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise PluginError(f"{self}: its Options are no class of pydantic's BaseModel")
        return model

    @contextmanager
    def blamed(self, what: str, *passed: type[Exception]) -> Iterator[None]:
        """Say of any error in the block that the plug-in made it."""
        try:
            yield
        except (PluginError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, passed):
                raise
            raise PluginError(f"{self} {what}: {_told(error)}") from error


_LOADED: dict[str, str] = {}
"""Distributions by the top module of their plug-ins that were loaded."""
_REGISTERED: dict[tuple[Kind, str], Plugin] = {}
_BUILT_IN: dict[Kind, Collection[str]] = {}
"""Names of the harness's own parts, as the sections of experiments say them when they are imported."""


def register(kind: str, name: str, thing: Any) -> None:
    """Offer something in this Python program as a package would do by an entry point.

    Runs that are made with it can be resumed only where it is registered again.

    Args:
        kind: ``"chips"``, ``"rules"``, ``"costs"``, ``"datasets"`` or ``"variations"``.
        name: as experiments say it; none of the harness's own.
        thing: what stands behind it, with a function ``build``.

    Raises:
        ExperimentError: there is no such kind.
        PluginError: the thing has no function ``build``.
    """
    kinds = [one.value for one in Kind]
    if kind not in kinds:
        raise ExperimentError(f"no kind of plug-in is called {kind!r}{did_you_mean(kind, kinds, or_list=True)}")
    plugin = Plugin(Kind(kind), name, None, None, None, lambda: thing)
    plugin.load()
    _REGISTERED[plugin.kind, name] = plugin


def installed(kind: Kind) -> list[Plugin]:
    """All plug-ins of a kind that are there, by name; none is loaded."""
    entries = metadata.entry_points(group=f"harness.{kind.value}")
    found = [_of_entry(kind, entry) for entry in entries]
    return sorted([*found, *(p for (k, _), p in _REGISTERED.items() if k is kind)], key=lambda plugin: plugin.name)


def find(kind: Kind, name: str, built_in: Collection[str] = ()) -> Plugin:
    """The plug-in of a name that the harness does not have itself.

    Raises:
        ExperimentError: there is none, or there are two; says which there are.
    """
    there = installed(kind)
    found = [plugin for plugin in there if plugin.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ExperimentError(f"{' and '.join(p.source for p in found)} both offer this name; uninstall one of them")
    names = [*built_in, *(plugin.name for plugin in there)]
    if not names:
        raise ExperimentError(f"no installed package offers a {kind.words} (entry points of harness.{kind.value})")
    *first, last = map(repr, names)
    offered = f" (plug-ins: {', '.join(f'{p.name!r} of {p.source}' for p in there)})" if there else ""
    known = f"{', '.join(first)} or {last}" if first else last
    raise ExperimentError(f"must be {known}{offered}{did_you_mean(name, names)}")


def named(kind: Kind, built_in: Collection[str]) -> AfterValidator:
    """Marks a key that takes a name of the harness's own or a plug-in's."""

    def check(name: str) -> str:
        try:
            if name not in built_in:
                find(kind, name, built_in)
            elif (kind, name) in _REGISTERED:
                raise ExperimentError("is a name of the harness's own, too; register yours under another one")
        except ExperimentError as error:
            raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from error
        return name

    return AfterValidator(check)


def options_of(kind: Kind, key: str, built_in: Collection[str]) -> AfterValidator:
    """Marks a key with the options of the plug-in that another key, above it, names."""
    _BUILT_IN[kind] = built_in

    def check(options: dict[str, Any] | None, info: ValidationInfo) -> dict[str, Any] | None:
        name = info.data.get(key)
        if name is None:  # it was refused
            return options
        if name in built_in:
            if options is not None:
                raise ValueError(f"{key} = {name!r} takes none; options are for plug-ins")
            return None
        return find(kind, name, built_in).checked(options or {}) or None

    return AfterValidator(check)


def distribution_of(module: str) -> str | None:
    """The distribution whose plug-in a module belongs to, if one was loaded."""
    return _LOADED.get(module.partition(".")[0])


@contextmanager
def blaming(plugins: Sequence[Plugin]) -> Iterator[None]:
    """Say of an error that no one foresaw, or of a number that is not finite, in the block, which plug-in made it.

    Raises:
        PluginError: the error passed through a plug-in's module; names the line.
        NotFiniteError: the number comes from one of the plug-ins, which are named.
    """
    try:
        yield
    except NotFiniteError as error:
        if suspects := [plugin for plugin in plugins if plugin.kind.words in error.sources]:
            raise NotFiniteError(f"{' or '.join(map(str, suspects))}: {error}", *error.sources) from error
        raise
    except (HarnessError, MemoryError):
        raise
    except Exception as error:
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            for plugin in plugins:
                if plugin.package == top:
                    place = f"{Path(frame.f_code.co_filename).name}, line {line}"
                    raise PluginError(f"{plugin} failed in {place}: {_told(error)}") from error
        raise


def _of_entry(kind: Kind, entry: metadata.EntryPoint) -> Plugin:
    name, version = (entry.dist.name, entry.dist.version) if entry.dist else (None, None)
    return Plugin(
        kind, entry.name, name or "a package without a name", version, entry.module.partition(".")[0], entry.load
    )


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, HarnessError) and text else f"{type(error).__name__}: {text}".removesuffix(": ")
