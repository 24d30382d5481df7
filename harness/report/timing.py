"""The report's section on time and energy, from a transient simulation if there was one."""

from harness.report import figures
from harness.report.html import Markup, element, joined, picture, table
from harness.studies.transient import SettlingResult
from harness.units import show


def timing(settling: SettlingResult | str | None) -> Markup:
    """Show settling times, rates and energies, or why there are none."""
    if settling is None:
        return element(
            "p", "Not simulated: harness report --transient adds step responses, settling times and energy per sample."
        )
    if isinstance(settling, str):
        return element("p", f"Not simulated: {settling}.")
    parasitics = settling.parasitics
    told = (
        f"Step responses in ngspice with {show(parasitics.node, 'F')} at every node and {show(parasitics.line, 'F')} "
        f"for every cell at a line: {settling.free_nodes:,} free nodes with {show(settling.capacitance, 'F')}. "
    )
    bandwidth = parasitics.bandwidth
    if settling.amplifiers:
        told += f"Amplifiers have {show(bandwidth, 'Hz')}. " if bandwidth else "Amplifiers are ideal. "
    converter = f"{settling.adc_bits} bits over ±{show(settling.adc_range, 'V')}"
    told += f"One ADC step is {show(settling.adc_step, 'V')} ({converter})."
    phases = [
        (f"{p.sample}, {p.phase}", show(p.step, "V"), *(show(s.seconds, "s") for s in p.settled),
         show(p.settled[-1].energy, "J"), show(p.power, "W"))
        for p in settling.phases
    ]  # fmt: skip
    reached = [f"within {s.criterion}" for s in settling.phases[0].settled]
    rates = [
        (
            r.criterion,
            show(r.seconds, "s"),
            "–" if r.per_second is None else f"{float(f'{r.per_second:.3g}'):,.0f}",
            show(r.energy, "J"),
        )
        for r in settling.rates
    ]
    heads = ("sample, phase", "largest step", *reached, "energy", "power in the end")
    both = "free and nudged phase" if settling.nudged else "free phase"
    return joined(
        [
            element("p", told),
            element("div", *map(picture, figures.settling_curves(settling)), class_="pair"),
            table((f"{both} to", "time", "samples per second", "energy a sample"), rates,
                  about="How fast samples can follow each other, if each phase waits for its slowest sample",
                  numbers=(1, 2, 3)),
            table(heads, phases, about="Settling of each phase: nodes and outputs; energy until within one ADC step",
                  numbers=tuple(range(1, len(heads)))),
        ]
    )  # fmt: skip
