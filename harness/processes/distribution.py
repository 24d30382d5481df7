"""The distribution by which pip knows this package, its extras, and other projects' that stand in its way.

Nothing of this package is imported here: another project's files may have taken the places of ours.
"""

from importlib import metadata

DISTRIBUTION = "spice-harness"
_OTHERS = ("harness",)
"""Distributions of other projects that bring a package of this one's import name."""
_OWN_SCRIPT = "harness.__main__:main"


def namesake() -> str | None:
    """Return a sentence on another project's distribution that is installed and brings a package `harness`, if any.

    Both packages are installed into one folder, so that either may have the other's files. A distribution that brings
    this package's own command is no stranger, whatever its name.
    """
    for name in (*_OTHERS, DISTRIBUTION):
        for found in metadata.distributions(name=name):
            read = found.read_text  # in UTF-8, whatever the locale
            if _OWN_SCRIPT not in (read("entry_points.txt") or ""):
                return (
                    f"another project's package '{name}' is installed in {str(found.locate_file(''))!r}; it has the "
                    "same import name as this one, and its files may have taken the places of ours; remove both with "
                    f"'python -m pip uninstall {' '.join((*_OTHERS, DISTRIBUTION))}', then install this one again "
                    "from its clone or its wheel"
                )
    return None


def extras() -> dict[str, tuple[str, ...]]:
    """Return what each extra requires on this machine, such as ``{"cluster": ("distributed>=2024.1",)}``.

    It is empty where the package was never installed and is imported from its source.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415 - no part of the standard library

    try:
        about = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return {}
    wanted = [Requirement(text) for text in about.get_all("Requires-Dist") or ()]
    return {
        extra: tuple(
            str(one).partition(";")[0].strip() for one in wanted if one.marker and one.marker.evaluate({"extra": extra})
        )
        for extra in about.get_all("Provides-Extra") or ()
    }


def installing(extra: str) -> str:
    """Return the command that brings the libraries of an extra, such as ``pip install 'distributed>=2024.1'``.

    It names the libraries and not this package, which pip could then take from somewhere else.
    """
    if packages := extras().get(extra):
        return "pip install " + " ".join(f"'{package}'" for package in packages)
    return f"pip install '.[{extra}]' in the clone"
