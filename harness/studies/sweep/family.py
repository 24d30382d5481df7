"""Experiments of one sweep that share what their settings describe in the same words: rows, network, rule, update."""

from harness.circuit import Circuit, TrainableArray
from harness.circuit.elements import Element
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings

_OF_A_CHIP = {"variation", "imperfect"}
"""Sections that say what is wrong with one chip."""


class Family:
    """Experiments, the first one for each choice of rows, of a network and of a rule."""

    def __init__(self) -> None:
        self._rows: dict[str, Experiment] = {}
        self._networks: dict[str, Experiment] = {}
        self._learning: dict[str, Experiment] = {}
        self._wirings: list[Circuit] = []

    def of(self, settings: Settings) -> Experiment:
        """The experiment of some settings, with the parts of earlier ones that have the same.

        Raises:
            HarnessError: a part cannot be made.
        """
        rows = f"{settings.split_seed} {settings.data.model_dump_json()}"
        known = self._rows.setdefault(rows, Experiment(settings))
        told = [settings.network, settings.chip, *([settings.programming] if settings.programming else [])]
        network = " ".join(
            [rows, settings.name, str(settings.network_seed), *(part.model_dump_json() for part in told)]
        )
        if (first := self._networks.get(network)) is None:
            first = self._networks[network] = self._of_one_wiring(Experiment(settings).holding(known.data))
        subject = Experiment(settings).holding(known.data, first.circuit, first.drawn_netlist)
        if settings.plugins:
            return subject
        learning = f"{network} {settings.model_dump_json(exclude=_OF_A_CHIP)}"
        alike = self._learning.setdefault(learning, subject)
        return subject if alike is subject else subject.learning_as(alike)

    def _of_one_wiring(self, subject: Experiment) -> Experiment:
        """The experiment with its network, which shares plans with those of earlier ones that it is wired like."""
        drawn = subject.circuit
        for one in self._wirings:
            same = (one.name, one.outputs, len(one.elements)) == (drawn.name, drawn.outputs, len(drawn.elements))
            if same and (circuit := one.altered(map(_kept, one.elements, drawn.elements))).wiring is one.wiring:
                return subject.holding(subject.data, circuit)
        self._wirings.append(drawn)
        return subject


def _kept(old: Element, new: Element) -> Element:
    """Return an element, the old one where it is the same."""
    return old if not isinstance(old, TrainableArray) and old == new else new
