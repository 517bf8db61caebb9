"""`backdoor centre bar` and `backdoor centre node`: what the owner of many bars asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from controller.cli.errors import Problem, user_errors
from controller.config.types import is_host_name
from web.centre.bars import (
    CENTRE,
    FOLDER,
    BarsError,
    Users,
    add_bar,
    node_config,
    reload,
    revoke_bar,
)

#: What has a meaning of its own in a topic or a subject, or ends one.
NOT_IN_A_PREFIX = re.compile(r"[\s>*+#$\x00]|//|^/|/$|^$")


@contextmanager
def _plain_words() -> Iterator[None]:
    with user_errors():
        try:
            yield
        except BarsError as error:
            raise Problem(str(error)) from None


folder_option = click.option(
    "--folder",
    default=FOLDER,
    metavar="DIR",
    show_default=True,
    help="Where the centre's files are.",
)


def _read_prefix(_context: click.Context, _option: click.Parameter, prefix: str) -> str:
    """Return the prefix, or raise `Problem`: a wildcard in it would reach what is another's."""
    if NOT_IN_A_PREFIX.search(prefix):
        raise Problem(f"--prefix {prefix}: must be the bars' [mqtt] prefix, like backdoor or a/b")
    return prefix


prefix_option = click.option(
    "--prefix",
    default="backdoor",
    show_default=True,
    callback=_read_prefix,
    help="[mqtt] prefix of the bars.",
)


@click.group()
def bar() -> None:
    """Give and take the credentials of the bars of a centre."""


@bar.command()
@click.argument("name")
@folder_option
@prefix_option
@click.option("--out", metavar="FILE", help="Where the credentials go; NAME.centre by default.")
def add(name: str, folder: str, prefix: str, out: str | None) -> None:
    """Give a bar credentials; NAME is its [house] venue."""
    target = Path(out or f"{name}.centre")
    with _plain_words():
        add_bar(Users(Path(folder)), name, prefix, target)
        click.echo(f"{target}: take it to the bar, and there")
        click.echo(f"  sudo systemd/install --centre HOST... --centre-credentials {target}")
        click.echo(reload(Path(folder)))


@bar.command()
@click.argument("name")
@folder_option
@prefix_option
def revoke(name: str, folder: str, prefix: str) -> None:
    """Take a bar's credentials, as after its Pi was stolen.

    It is thrown out at once.
    """
    with _plain_words():
        revoke_bar(Users(Path(folder)), name, prefix)
        click.echo(f"{name} is out")
        click.echo(reload(Path(folder)))


@bar.command(name="list")
@folder_option
def list_(folder: str) -> None:
    """Show the bars that have credentials."""
    with _plain_words():
        for name in sorted(set(Users(Path(folder)).read()) - {CENTRE}):
            click.echo(name)


@click.command()
@click.argument("name")
@click.argument("peers", nargs=-1)
@folder_option
def node(name: str, peers: tuple[str, ...], folder: str) -> None:
    """Print the configuration of the NATS node NAME.

    PEERS are the hosts of all nodes.
    """
    for host in (name, *peers):
        if not host or not is_host_name(host):
            raise Problem(f'"{host}": is no name of a host')
    click.echo(node_config(name, list(peers), Path(folder)), nl=False)
