"""The command line: the questions that the pages ask, without a browser. One file per command."""

import logging
import os
import sys
import warnings
from importlib import import_module
from typing import Any

import click

from scfm_core import __version__
from scfm_core.errors import ScfmError

COMMANDS = (
    "serve", "info", "qc", "models", "weights", "embed", "attention", "umap", "markers", "name", "benchmark",
    "perturb", "screen", "validate", "export", "pretrain",
)  # fmt: skip
INTERRUPTED = 130
_STOPPED = "stopped. Finished chunks are kept; the same command goes on from there."


class _Refused(click.ClickException):
    """An error in one paragraph."""

    def show(self, file: Any = None) -> None:
        click.echo(f"scfm: {self.message}", err=True)


class _Commands(click.Group):
    """Imports a command when it is asked for, and turns every error into a paragraph and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            click.echo(f"scfm: {str(stop) or _STOPPED}", err=True)
            ctx.exit(INTERRUPTED)
        except ScfmError as error:
            if ctx.params["debug"]:
                raise
            raise _Refused(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click ends the program as it should
        except Exception as error:
            if ctx.params["debug"]:
                raise
            raise _Refused(_words_for_a_bug(error)) from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n"
    "  scfm info my.h5ad\n"
    "  scfm embed my.h5ad --model scfm-mini --out embedded.h5ad\n"
    "  scfm perturb my.h5ad --model scfm-mini --delete LYZ,CD3D --out lyz_cd3d\n"
    "  scfm serve --open",
)
@click.version_option(__version__, prog_name="scfm")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Single-cell foundation models: from a file of counts to an in-silico gene deletion.

    FILE is a file or folder in any format that is read (.h5ad, 10x .h5, 10x matrix folder or archive, .csv, .tsv,
    .loom, .zarr), a demo (demo:pbmc3k), or the first letters of a stored dataset's hash.

    Answers are kept in the workspace (SCFM_WORKSPACE), so that the same question is answered at once the next time.
    Work runs in this process, or on the cluster named by SCFM_SCHEDULER.
    """


def main() -> None:
    """Run the command line of this process."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded: a spinning thread robs the others
    if "--debug" not in sys.argv:
        logging.getLogger("scfm_core").addHandler(logging.NullHandler())  # a bug is told in one paragraph
        warnings.simplefilter("ignore")
    try:
        cli()
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # at once: a chunk that still runs in a thread is not waited for


def _words_for_a_bug(error: Exception) -> str:
    job = "".join(f", {note}" for note in getattr(error, "__notes__", []))
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"This is a bug in scFM Explorer{job} ({what}). Run scfm --debug with the same arguments to see where."
