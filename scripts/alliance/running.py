"""How a script of the workflow runs: progress on screen, a log, errors in plain words."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alliance.problems import StudyError

Say = Callable[[str], None]


class RefusedError(Exception):
    """Raised where problems that are told elsewhere stop a study; says where they are told."""


@contextmanager
def stage(title: str, log: str | Path) -> Iterator[Say]:
    """Run the body of a script as one stage of the study.

    Yields a function that tells progress, on the screen and in the log. A :class:`StudyError`
    ends the stage with its problems in the log, which Snakemake shows; anything else is our own
    mistake and is said to be one. Either way the exit status is 1.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("w", encoding="utf-8") as handle:

        def say(message: str) -> None:
            print(f"  {title}: {message}", file=sys.stderr, flush=True)
            print(message, file=handle, flush=True)

        try:
            yield say
        except (StudyError, RefusedError) as error:
            print(f"\n{error}\n", file=handle)
            failed = True
        except Exception:  # told to the user, never swallowed: the exit status is 1
            handle.write(_traceback_without_values())
            print(
                f"\nThis is a mistake of the pipeline, not of your data. Please report it with the "
                f"file {log} (it holds no client's record).",
                file=handle,
            )
            failed = True
        else:
            failed = False
    if failed:
        sys.exit(1)


def _traceback_without_values() -> str:
    """Where it happened, and what; a message that may quote a record is held back."""
    kind, error, trace = sys.exc_info()
    frames = traceback.extract_tb(trace)
    ours = bool(frames) and "alliance" in Path(frames[-1].filename).parts
    ours = ours or isinstance(error, AttributeError | ImportError | NameError | TypeError)
    message = f": {error}" if ours else " (message held back: it may quote data)"
    name = kind.__name__ if kind else "error"
    return "".join(traceback.format_list(frames)) + f"{name}{message}\n"
