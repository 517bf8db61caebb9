"""The command line: parsing, exit codes, and one call each.

Pins, network and page are imported late, so ``replay`` and ``check-config`` start without them.
"""

from __future__ import annotations

import gc
import logging
import math
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from controller.cli.errors import Problem, user_errors

if TYPE_CHECKING:
    from controller.config.settings import Config

DAY_S = 86_400.0

config_option = click.option(
    "--config", "path", metavar="FILE", help="The configuration (default: see `backdoor --help`)."
)
set_option = click.option(
    "--set", "sets", multiple=True, metavar="SECTION.KEY=VALUE", help="Change one key; repeatable."
)


class Finite(click.FloatRange):
    """A number in a range; NaN, which click lets through, is in none."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the number, or fail with its option's name."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


def _config(path: str | None, sets: tuple[str, ...]) -> Config:
    from controller.config.loader import DEFAULT_PATH, load

    return load(path or DEFAULT_PATH, sets)


@click.group(epilog="The configuration is /etc/backdoor/backdoor.toml unless --config names one.")
@click.version_option(package_name="backdoor")
def main() -> None:
    """Keep the door and the hatch of the world's smallest bar."""


# --- replay, check-config -------------------------------------------------------------------------


@main.command()
@click.argument("trace", type=click.Path())
@config_option
@click.option("--inside", default=0, type=click.IntRange(0, 99), help="Guests inside at the start.")
@set_option
def replay(trace: str, path: str | None, inside: int, sets: tuple[str, ...]) -> None:
    """Run a TRACE (CSV) through sensing and rules.

    In virtual time; one JSON object a line.
    """
    from controller.config.loader import parse
    from controller.replay import replay as lines_of
    from controller.replay import wired_by
    from controller.trace import TraceError, load_trace

    with user_errors():
        try:
            rows = load_trace(trace)
        except TraceError as error:
            raise Problem(str(error)) from None
        config = _config(path, sets) if path else wired_by(parse({}, "", sets), rows)
        if sys.stdout is None:
            raise Problem("stdout: is closed; give it a file or a pipe")
        sys.stdout.buffer.writelines(lines_of(rows, config, inside))
        sys.stdout.buffer.flush()


@main.command("check-config")
@config_option
@set_option
@click.option("--svg", type=click.Path(), help="Draw the header with the used pins into this file.")
def check_config(path: str | None, sets: tuple[str, ...], svg: str | None) -> None:
    """Check the configuration: every mistake, or the wiring."""
    from controller.gpio.header import svg as drawn
    from controller.gpio.header import table

    with user_errors():
        config = _config(path, sets)
        _check_addresses(config, path)
        if svg is not None:
            Path(svg).write_text(drawn(config.lines), encoding="utf-8")
    click.echo("\n".join(table(config.lines)))
    click.echo(f"{_in_words(config)}; the file is right")
    if not config.lines:
        click.echo("warning: no line is wired: take the # away from what you wired, below [lines]")
    for text in _not_in_force(config):
        click.echo(f"warning: {text}")


def _in_words(config: Config) -> str:
    """Return what an owner reads at a glance; a time in the wrong unit stands out."""
    counted = "by beams" if config.rules.beams else "by the bartender"
    stay = f"{config.rules.session_ms / 60_000:g} min for each party"
    return f"{config.rules.capacity} guests at most, {stay}, counted {counted}"


def _not_in_force(config: Config) -> Sequence[str]:
    """Return what of the machine below us is not as the installer leaves it."""
    if config.factory == "mock":
        return []
    from controller.gpio.early_boot import warnings

    strike = config.lines.get("strike")
    return warnings(None if strike is None else strike.pin)


def _check_addresses(config: Config, path: str | None) -> None:
    """Have Apprise look at the addresses of [notify], where there are any."""
    if not config.notify.urls:
        return
    from controller.config.loader import DEFAULT_PATH, ConfigError

    _needs_apprise()
    from controller.notify.check import problems

    found = [f"{path or DEFAULT_PATH}: {text}" for text in problems(config)]
    if found:
        raise ConfigError(found)


def _needs_apprise() -> None:
    """Say how to get the library that only the messages need."""
    from importlib.util import find_spec

    if find_spec("apprise") is None:
        raise Problem(
            "[notify] urls: needs the library Apprise, which is not installed; on the Pi:"
            " sudo systemd/install; elsewhere: pip install -r requirements-notify.lock"
        )


# --- journal, pair ------------------------------------------------------------------------------


@main.command()
@config_option
@set_option
@click.option("--last", default=50, type=click.IntRange(1), help="How many events (default 50).")
@click.option("--trace", nargs=2, metavar="FROM TO", help="Raw edges of the last day, as a trace.")
def journal(
    path: str | None, sets: tuple[str, ...], last: int, trace: tuple[str, str] | None
) -> None:
    """Print the last events as JSON, or a trace to replay.

    FROM and TO are times of day (21:30), the last ones that were, or ISO 8601.
    """
    from controller.journal.journal import read_last
    from controller.maintenance.owner import as_owner
    from controller.trace import cut, flights

    with user_errors():
        config = _config(path, sets)
        with as_owner(Path(config.journal.path).parent):
            if trace is None:
                for row in read_last(config.journal.path, last):
                    click.echo(row.to_json())
                return
            from_s, to_s = (_moment(text) for text in trace)
            to_s += DAY_S if to_s < from_s else 0.0
            click.echo("".join(cut(flights(config.journal.path), from_s, to_s)), nl=False)


def _moment(text: str) -> float:
    """Return a time of day, the last that was, or an ISO 8601 time, in seconds since 1970."""
    from datetime import datetime, time, timedelta

    now = datetime.now().astimezone()
    try:
        clock = time.fromisoformat(text) if len(text) <= len("21:30:15") else None
        moment = datetime.fromisoformat(text) if clock is None else datetime.combine(now, clock)
        moment = moment.astimezone()  # fails at the ends of the calendar
    except (ValueError, OverflowError):
        raise Problem(f'--trace: must be a time like 21:30 or ISO 8601, got "{text}"') from None
    passed = clock is None or moment <= now
    return (moment if passed else moment - timedelta(days=1)).timestamp()


@main.command()
@config_option
@set_option
@click.option("--rotate", is_flag=True, help="Make a new secret: every paired phone is thrown out.")
def pair(path: str | None, sets: tuple[str, ...], rotate: bool) -> None:
    """Print the link that pairs a phone, and its QR code."""
    from controller.maintenance.owner import as_owner
    from web import pair_link
    from web.security.pairing import Pairing, PairingError, qr_text

    with user_errors():
        config = _config(path, sets)
        try:
            with as_owner(Path(config.web.secret_file).parent):
                if rotate:
                    Pairing(Path(config.web.secret_file)).rotate()
                link = pair_link(config)
        except PairingError as error:
            raise Problem(str(error)) from None
    click.echo(qr_text(link))
    click.echo(f"page: {link}")


# --- backup, restore ----------------------------------------------------------------------------


@main.command()
@click.argument("target", required=False, type=click.Path(path_type=Path))
@config_option
@set_option
def backup(target: Path | None, path: str | None, sets: tuple[str, ...]) -> None:
    """Put configuration, pairing and journal into one file.

    Everything runs on meanwhile. TARGET is a new file or a folder. Without it the folder is that
    of [backup], and older backups there are removed as [backup] says: this is what runs each
    morning.
    """
    from controller.cli.backup import make_backup
    from controller.config.loader import DEFAULT_PATH
    from controller.maintenance.archive import BackupError

    with user_errors():
        try:
            make_backup(_config(path, sets), Path(path or DEFAULT_PATH), target, click.echo)
        except BackupError as error:
            raise Problem(str(error)) from None


@main.command()
@click.argument("backup", type=click.Path(path_type=Path))
@config_option
def restore(backup: Path, path: str | None) -> None:
    """Put back what is in the file BACKUP.

    What is here now is kept aside, and the count asks. As root on an installed machine it stops the
    services and starts them again.
    """
    from controller.config.loader import DEFAULT_PATH
    from controller.maintenance.archive import BackupError
    from controller.maintenance.restore import restore as restored
    from controller.maintenance.services import services_stopped

    with user_errors():
        try:
            for line in restored(backup, Path(path or DEFAULT_PATH), services_stopped()):
                click.echo(line)
        except BackupError as error:
            raise Problem(str(error)) from None
    click.echo("restored: say on the page how many are inside")


@main.command()
@click.argument("target", required=False, type=click.Path(path_type=Path))
@config_option
@click.option("--yes", is_flag=True, help="Save it without asking.")
def report(target: Path | None, path: str | None, yes: bool) -> None:
    """Make one file for a bug report, without secrets and names.

    TARGET is a new file or a folder (default: here). What is in it is listed before it is saved.
    """
    from controller.cli.report import make_report
    from controller.config.loader import DEFAULT_PATH
    from controller.maintenance.archive import BackupError

    ask = (lambda _: True) if yes or not sys.stdin.isatty() else _confirm
    with user_errors():
        try:
            make_report(Path(path or DEFAULT_PATH), target or Path(), click.echo, ask)
        except BackupError as error:
            raise Problem(str(error)) from None


@main.command()
@click.argument("span", default="")
@config_option
@set_option
@click.option("--venue", default="", help='Another bar in the same store; "+" for all together.')
@click.option("--table", default="", metavar="NAME", help="One table: nights, hours, stays...")
@click.option("--csv", "form", flag_value="csv", help="As CSV; one table, by default nights.")
@click.option("--json", "form", flag_value="json", help="As JSON; all tables by default.")
def nights(path: str | None, sets: tuple[str, ...], form: str | None, **asked: str) -> None:
    """Print the history of a night, a week, a month or a year.

    SPAN is 2026-11-25, 2026-W48, 2026-11 (default: this month) or 2026.
    """
    from controller.cli.nights import nights_text
    from web.nights.answers import TABLES

    if asked["table"] and asked["table"] not in TABLES:
        raise Problem(f'--table: there is no "{asked["table"]}", but {", ".join(TABLES)}')
    with user_errors():
        click.echo(nights_text(_config(path, sets), form=form or "text", **asked))


@main.command("self-test")
@config_option
@set_option
@click.option(
    "--seconds",
    "limit_s",
    default=60.0,
    type=Finite(0.1, 86_400.0),
    help="How long each wire is waited for (default 60).",
)
@click.option("--watch", is_flag=True, help="Show all lines live, till Ctrl-C or the end.")
@click.option("--learn", default="", metavar="NAME", help="Take down the rhythm of a regular.")
def self_test(path: str | None, sets: tuple[str, ...], **asked: Any) -> None:
    """Prove every wire at opening, in a guided minute.

    The exit code is 1 if one is missing. It is the controller while it runs: as root it changes
    places with the service, and back.
    """
    from controller.cli.selftest import Options, run_in_units_place, run_self_test
    from controller.config.credentials import with_login
    from controller.config.learned_rhythms import learned_file, with_learned
    from controller.gpio.factories import PinsError

    code = run_in_units_place(sys.argv)
    if code is None:
        _log(logging.WARNING)
        with user_errors():
            config = with_learned(with_login(_config(path, sets)))
            options = Options(**asked, learned=learned_file(config))
            try:
                fine = run_self_test(
                    config, options, echo=click.echo, on_stop_signal=_on_stop_signal, ask=_confirm
                )
                code = 0 if fine else 1
            except PinsError as error:
                raise Problem(str(error)) from None
    sys.exit(code)


# --- run, web, demo -----------------------------------------------------------------------------


@main.command()
@config_option
@set_option
@click.option("--safe", is_flag=True, help="Locked, counted by hand: after repeated failures.")
def run(path: str | None, sets: tuple[str, ...], safe: bool) -> None:
    """Keep the door: the controller, as the service runs it."""
    from controller.config.credentials import with_login
    from controller.config.learned_rhythms import with_learned
    from controller.gpio.factories import PinsError
    from controller.service.assembly import assemble, real_world
    from controller.service.safe_mode import assemble_safely, set_fault

    _log(logging.INFO)
    gc.disable()  # of what is made from here on nearly all stays: no search for garbage meanwhile
    with user_errors():
        try:
            if safe:
                running = assemble_safely(lambda: _config(path, sets), with_login)
            else:
                damaged: list[str] = []
                config = with_learned(with_login(_config(path, sets)), damaged)
                running = assemble(config, real_world(config), damaged)
                set_fault(running)
                for text in _not_in_force(config):
                    logging.getLogger(__name__).warning("%s", text)
        except PinsError as error:
            raise Problem(str(error)) from None
    _on_stop_signal(running.loop.stop)
    running.loop.begin(running.absence)
    # What is here now stays: a garbage collection of it all takes 30 ms, and an edge would wait.
    gc.freeze()
    gc.enable()
    running.loop.run()


@main.command()
@config_option
@set_option
def web(path: str | None, sets: tuple[str, ...]) -> None:
    """Serve the bartender's page.

    A process of its own, joined to the controller by the broker.
    """
    from controller.config.credentials import with_login
    from web.server import serve_page

    _log(logging.INFO)
    with user_errors():
        serve_page(with_login(_config(path, sets)))


class _Centre(click.Group):
    """Loads the commands of a centre when one is asked for: no service has to at its start."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return their names."""
        return ["bar", "node"]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return one of them."""
        if name not in self.list_commands(context):
            return None
        from controller.cli import centre

        found: click.Command = getattr(centre, name)
        return found


@main.group(cls=_Centre, invoke_without_command=True)
@config_option
@set_option
@click.pass_context
def centre(context: click.Context, path: str | None, sets: tuple[str, ...]) -> None:
    """Keep the history of many bars, from NATS into Postgres.

    The nodes are those of [centre], the database is that of [nights].
    """
    if context.invoked_subcommand is not None:
        return
    from web.centre.main import serve_centre

    _log(logging.INFO)
    with user_errors():
        serve_centre(_config(path, sets), _on_stop_signal)


@main.command()
@config_option
@set_option
@click.option("--test", "testing", is_flag=True, help="Send one message to each address, and end.")
def notify(path: str | None, sets: tuple[str, ...], testing: bool) -> None:
    """Send messages while the page is closed.

    By ntfy, Telegram and a hundred others: see [notify].
    """
    from controller.config.credentials import with_login

    _log(logging.INFO)
    with user_errors():
        config = with_login(_config(path, sets))
        _needs_apprise()
        if testing:
            from controller.notify.check import send_tests

            if not config.notify.urls:
                raise Problem("[notify] urls: has no address; name one")
            sys.exit(0 if send_tests(config, click.echo) else 1)
        from controller.notify.service import make_service

        service = make_service(config)
    _on_stop_signal(service.stop)
    service.run()


@main.command()
@config_option
@set_option
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the page (default 8080).")
@click.option("--mqtt", "broker", metavar="HOST[:PORT]", help="Put a real broker in between.")
@click.option("--trace", type=click.Path(), help="Play a trace on the simulated pins.")
@click.option("--speed", default=1.0, type=Finite(0.1, 100_000), help="Clock speed.")
@click.option("--inside", default=0, type=click.IntRange(0, 99), help="Guests inside at the start.")
@click.option("--lan", is_flag=True, help="Let phones on the local network open the page.")
def demo(path: str | None, sets: tuple[str, ...], port: int | None, **options: Any) -> None:
    """Try it: all in one process, on simulated pins.

    It prints the link of the page, and on a terminal its QR code.
    """
    from controller.cli.demo import Options, demo_config, run_demo

    _log(logging.WARNING)
    with user_errors(), tempfile.TemporaryDirectory(prefix="backdoor-demo-") as folder:
        chosen = Options(**options)
        config = demo_config(path, sets, Path(folder), chosen, port)
        run_demo(config, chosen, echo=click.echo, on_stop_signal=_on_stop_signal)


def _confirm(question: str) -> bool:
    """Ask at the terminal; without one the answer is no."""
    return sys.stdin.isatty() and click.confirm(question)


def _on_stop_signal(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGQUIT, on Ctrl-C and when the terminal goes."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        stop()

    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)


def _log(level: int) -> None:
    """Log to stderr; under systemd the journal adds the time itself."""
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
