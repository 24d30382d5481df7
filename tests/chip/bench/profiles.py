"""Profiles for tests: packaged ones with some keys changed."""

from collections.abc import Mapping

from harness.chip.bench.profile import Profile
from harness.circuit import Circuit
from harness.experiment.experiment import Experiment


def changed(profile: Profile, **sections: Mapping[str, object]) -> Profile:
    """Return a profile with other keys in some of its sections."""
    return profile.model_copy(
        update={name: getattr(profile, name).model_copy(update=dict(keys)) for name, keys in sections.items()}
    )


ON_THE_BOARD = (
    *("network.hidden=[]", "network.g_unit=10 uS", "network.g_max=100 uS", "network.input_gain=0.05"),
    *('network.bias=["50 mV"]', "network.amplifier_gain=1", "update.rates=[1e-3]"),
)
"""What makes of ``xor`` the network of the comments in the packaged profiles."""


def crossbar() -> Circuit:
    """Return that network: a crossbar between two inputs and two outputs."""
    return Experiment.load("xor", list(ON_THE_BOARD)).circuit
