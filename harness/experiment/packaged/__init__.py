"""The experiments that come with the package."""

import os
import tomllib
from importlib import resources

from harness.errors import ExperimentError
from harness.wording import command, did_you_mean


def packaged_experiments() -> dict[str, str]:
    """The experiments that come with the package: name and description, by name."""
    return {name: str(tomllib.loads(packaged_text(name))["description"]) for name in experiment_names()}


def experiment_names() -> list[str]:
    """Names of the experiments that come with the package."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def packaged_text(name: str) -> str:
    """The TOML text of one of them."""
    return (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def check_place(name: str) -> None:
    """Refuse a name of no packaged experiment that can be no file of one's own either.

    Raises:
        ExperimentError: says what is there, or what was probably meant.
    """
    if os.path.isfile(os.path.join(name, "manifest.json")):
        raise ExperimentError(f"{name} is a run; go on with: {command('train', '--resume', name)}")
    if os.path.isdir(name):
        raise ExperimentError(f"{name} is a folder that holds no run (no manifest.json), and no experiment file")
    if name.lower().endswith(".csv") and os.path.lexists(name):
        wanted = f'data = {{ set = "csv", file = "{name}", label = … }}'
        raise ExperimentError(f"{name} is a table; an experiment is a TOML file that names it, with {wanted}")
    if not os.path.lexists(name):
        own = "" if name.endswith(".toml") else " (a file of one's own ends in .toml)"
        meant = did_you_mean(name.removesuffix(".toml"), experiment_names(), or_list=True)
        raise ExperimentError(f"there is no experiment {name!r}{meant}{own}")
