"""`harness bench`: the group of the commands of the lab's bench; each is added below."""

from pathlib import Path

import click
from typing_extensions import override

from harness.cli.bench.calibrate import calibrate, characterize
from harness.cli.bench.compare import compare
from harness.cli.bench.play import play
from harness.cli.bench.probe import probe
from harness.cli.bench.serve import serve_board
from harness.experiment.packaged import experiment_names
from harness.wording import command, nearest


class _Bench(click.Group):
    """A group that names `harness benchmark` to those who use the former spelling of it."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names) and self._is_benchmark(args[0]):
            moved = command("benchmark", *args)
            raise click.UsageError(f"harness bench is the bench of a lab now; measure speed by {moved}")
        return super().parse_args(ctx, args)

    def _is_benchmark(self, first: str) -> bool:
        """Return True unless the first word is a command's, misspelt; the benchmark took options before it, too."""
        subject = first.startswith("-") or first in experiment_names() or Path(first).exists()
        return subject or nearest(first, self.commands) is None


@click.group(cls=_Bench)
def bench() -> None:
    """Work with a board on the bench of a lab."""


for _command in (serve_board, probe, calibrate, characterize, compare, play):
    bench.add_command(_command)
