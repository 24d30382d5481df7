"""`harness completion`: parse, call, print."""

import click

from harness.cli.machine import words


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the lines that let SHELL complete commands, options, experiments and runs when Tab is pressed.

    Save them where the shell looks for them, once, and open a new shell:

    \b
    harness completion bash > ~/.local/share/bash-completion/completions/harness
    harness completion zsh > "${fpath[1]}/_harness"
    harness completion fish > ~/.config/fish/completions/harness.fish
    """  # noqa: D301 - \b keeps the lines for click
    click.echo(words.source(ctx.find_root().command, shell), nl=False)
