"""``python -m tests.tools.fuzz [CASES]``: bytes from a stranger at every place that reads some.

Each target takes any bytes and lets nothing escape but the error that it promises. With atheris
installed (``make fuzz`` tries) the bytes are guided by coverage; otherwise Hypothesis makes them,
as in the test suite. `SEEDS` are true examples, so that both get past the first brace.
"""

from __future__ import annotations

import importlib.util
import logging
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from msgspec.structs import asdict

from controller import codec
from controller.config.loader import ConfigError, parse
from controller.config.settings import Config
from controller.engine import Engine
from controller.events import COMMANDS, Command, Tick
from controller.journal.records import state_of, text_of
from controller.mqtt import snapshot as payloads
from controller.mqtt.inbox import Inbox, Now
from controller.mqtt.message import Message
from controller.mqtt.snapshot import Stamp
from controller.replay import replay, wired_by
from controller.rules.state import RuleSettings, State
from controller.rules.step import step
from controller.trace import TraceError, read_trace
from tests.tools import fuzz_heard, fuzz_request
from tests.tools.model import laws

NOW = Now(t_ms=60_000.0, wall_s=1_800_000_060.0)
STAMP = Stamp("bar", "b00t", 1, 60_000.0, 1_800_000_060.0)
HOUSE = RuleSettings()


def command(data: bytes) -> None:
    """A payload on ``cmd/...``: refused or taken, and never an open door without a fresh id."""
    inbox = Inbox(5.0, 0.0, "b00t")
    engine = Engine(HOUSE, Config().sensing)
    for name in (*COMMANDS, "open_sesame"):
        taken = inbox.take(name, Message(f"backdoor/bar/cmd/{name}", data), NOW)
        if taken is not None:
            engine.event(replace(taken, t_ms=engine.state.t_ms))
            assert not laws.broken(laws.OF_STATES, engine.state, HOUSE)


def state(data: bytes) -> None:
    """The state that a journal kept: read and lived with, or refused with ValueError."""
    with suppress(ValueError):
        kept = codec.load_state(state_of(data.decode()))
        assert 0 <= kept.occupancy.min <= kept.occupancy.count <= kept.occupancy.max <= 99
        after, _ = step(kept, Tick(kept.t_ms), HOUSE)
        codec.encode(payloads.snapshot(after, HOUSE, STAMP._replace(t_ms=after.t_ms)))


def trace(data: bytes) -> None:
    """A trace: replayed, or refused with file, line and reason."""
    with suppress(TraceError, UnicodeDecodeError):
        rows = read_trace(data.decode().splitlines(keepends=True), "fuzz.csv")
        for line in replay(rows[:50], wired_by(Config(), rows)):
            codec.decode(line)


def config(data: bytes) -> None:
    """A configuration file: read, or each mistake named with its place."""
    with suppress(tomllib.TOMLDecodeError, UnicodeDecodeError):
        document = tomllib.loads(data.decode())
        mistakes = _mistakes(document)
        assert all(mistake.startswith("fuzz.toml: [") for mistake in mistakes)


def _mistakes(document: dict[str, Any]) -> tuple[str, ...]:
    try:
        parse(document, "fuzz.toml")
    except ConfigError as error:
        return error.problems
    return ()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "command": command,
    "state": state,
    "trace": trace,
    "config": config,
    "request": fuzz_request.request,
    "heard": fuzz_heard.heard,
}


def _lived() -> bytes:
    """A state with something in every field."""
    after = State()
    for name, number in (("set_count", 2), ("access_door", 1), ("staff_pass", None)):
        after, _ = step(after, Command(0.0, name, number), HOUSE)
    return text_of(asdict(after)).encode()


SEEDS: dict[str, tuple[bytes, ...]] = {
    "command": (
        b'{"id":"a1","issued_at":1800000059.5,"party":2,"cause":"page"}',
        b'{"id":"a2","issued_at":"2027-01-15T08:00:59+00:00","count":3}',
    ),
    "state": (_lived(), b'{"t_ms":5.0,"timers":{"release":1.0}}'),
    "trace": (b"t_ms,line,level\n0,door_contact,0\n1500.5,beam_outer,1\n1600,cmd:access_door,2\n",),
    "config": (
        b'[house]\ncapacity = 4\nsession_length = "2 h"\n[lines]\nstrike = 16\n[mqtt]\nport=1883\n',
        b'[lines.strike]\npin = 16\nactive = "high"\n[web]\nallowed_hosts = ["x"]\n',
    ),
    "request": fuzz_request.SEEDS,
    "heard": fuzz_heard.SEEDS,
}
#: Bytes that a target may take; more is a fault like any other.
MEMORY = 4 << 30
#: What mistakes, attacks and other programs put between the bytes.
SHARDS = (
    *(b"null", b"NaN", b"-1", b"1e400", b"true", b'""', b"{}", b"[]", b"\x00", b"\xff", b"0x10"),
    *(b"999999999999999999999", b'"\\ud800"', b"\xe2\x80\xae", b"[[[[", b"}", b",", b"\n", b"="),
)


def cases(name: str) -> st.SearchStrategy[bytes]:
    """Any bytes, and true examples with pieces cut out and shards put in."""
    own = (fuzz_heard.cases(),) if name == "heard" else ()
    return st.one_of(*own, st.binary(max_size=300), _pieces(name))


def _pieces(name: str) -> st.SearchStrategy[bytes]:
    return st.builds(
        _damaged,
        st.sampled_from(SEEDS[name]),
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), st.sampled_from(SHARDS))),
    )


def _damaged(seed: bytes, hits: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, shard in hits:
        place = at % (len(seed) + 1)
        seed = seed[:place] + shard + seed[place + cut :]
    return seed


def run(name: str, count: int) -> None:
    """Give ``count`` cases of Hypothesis to one target; raises what it lets escape."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=checks)
    @given(cases(name))
    def test(data: bytes) -> None:
        TARGETS[name](data)

    test()


def guided(name: str, count: int) -> None:
    """Give ``count`` cases of atheris to one target, in this process, which ends with it."""
    import atheris  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            (Path(corpus) / str(number)).write_bytes(seed)
        for function in _ours():
            atheris.instrument_func(function)
        options = [f"-runs={count}", "-max_len=600", "-verbosity=0", "-print_final_stats=0"]
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[name])
        atheris.Fuzz()


OURS = ("controller.", "web.")


def _ours() -> list[FunctionType]:
    """Return our functions alone: all that is loaded would take minutes to instrument."""
    modules = [part for name, part in sys.modules.items() if name.startswith(OURS)]
    found = [value for part in modules for value in vars(part).values()]
    return [value for value in found if isinstance(value, FunctionType)]


def main(count: int) -> int:
    """Fuzz every target with ``count`` cases each way and say how long it took."""
    settings.load_profile("default")  # other cases each time, in a CI as well
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable()  # every refusal is logged, and this is a flood of them
    guides = importlib.util.find_spec("atheris") is not None
    failed = 0
    for name in TARGETS:
        began_s = time.monotonic()
        run(name, count)
        _tell(name, count, "Hypothesis", began_s)
        if guides:
            began_s = time.monotonic()
            command = [sys.executable, "-m", "tests.tools.fuzz", str(count), name]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                failed += 1
                sys.stdout.write(done.stderr)
            how = "FAILED" if done.returncode else "nothing escaped"
            _tell(name, count, "atheris", began_s, how)
    return 1 if failed else 0


def _tell(name: str, count: int, by: str, began_s: float, how: str = "nothing escaped") -> None:
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"{name:8} {count:,} cases by {by}: {how}, {took_s:.0f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        guided(sys.argv[2], int(sys.argv[1]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000))
