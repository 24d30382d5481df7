"""Profiles for tests: packaged ones with some keys changed."""

from collections.abc import Mapping

from harness.chip.bench.profile import Profile


def changed(profile: Profile, **sections: Mapping[str, object]) -> Profile:
    """Return a profile with other keys in some of its sections."""
    return profile.model_copy(
        update={name: getattr(profile, name).model_copy(update=dict(keys)) for name, keys in sections.items()}
    )
