"""What a user can mend is a line or more on standard error, and never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

#: The exit code of a command that was asked for the wrong way.
USAGE = 2


class Problem(click.ClickException):
    """An error that the user can mend: one line or more on stderr, exit code 2."""

    exit_code = USAGE

    def show(self, file: Any = None) -> None:
        """Print the message: it names its place itself.

        What comes out of a file of another kind moves no cursor and rings no bell: control
        characters stand as they are written in code.
        """
        shown = (c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in self.message)
        click.echo("".join(shown), err=True, file=file)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn errors that the user can mend into messages without a traceback."""
    from controller.config.loader import ConfigError

    try:
        yield
    except ConfigError as error:
        raise Problem(str(error)) from None
    except BrokenPipeError:
        raise  # the reader closed the pipe: click ends quietly
    except OSError as error:
        raise Problem(f"{error.filename or 'output'}: {error.strerror or error}") from None
