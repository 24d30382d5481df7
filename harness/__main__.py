"""The command ``harness``, which is ``python -m harness`` too.

Python itself puts the working directory first in the module path of the latter, and has imported some modules of its
own by the time it arrives here; ``harness`` and ``python -P -m harness`` import nothing from there.
"""

import sys

from harness.processes.safe_path import safe_path


def main() -> None:
    """Run the command line, or complete words for a shell that asks.

    Ctrl-C ends it without a word while it imports its modules, which takes a second.
    """
    sys.path[:] = safe_path()
    import os  # noqa: PLC0415 - from the path that is safe, as all that follows
    import signal  # noqa: PLC0415

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as behind nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "_HARNESS_COMPLETE" in os.environ:  # a shell asks, and does not want to wait for the commands
        from harness.cli.machine.words import complete  # noqa: PLC0415

        complete()
    from harness.processes.distribution import namesake  # noqa: PLC0415

    if told := namesake():
        sys.exit(f"harness: {told}")
    from harness.cli.main import main as command  # noqa: PLC0415

    command(prog_name="harness")


if __name__ == "__main__":
    main()
