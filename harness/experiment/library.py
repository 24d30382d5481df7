"""The experiments that come with the package."""

from importlib import resources

from harness.experiment.settings import read_settings


def packaged_experiments() -> dict[str, str]:
    """The experiments that come with the package: name and description, by name."""
    return {name: _description(name) for name in experiment_names()}


def experiment_names() -> list[str]:
    """Names of the experiments that come with the package."""
    files = (resources.files("harness.experiment") / "packaged").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def _description(name: str) -> str:
    return read_settings(packaged_text(name), f"experiment {name}").description


def packaged_text(name: str) -> str:
    """The TOML text of one of them."""
    return (resources.files("harness.experiment") / "packaged" / f"{name}.toml").read_text(encoding="utf-8")
