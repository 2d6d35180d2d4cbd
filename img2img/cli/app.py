"""The front door: one command a file, no torch before a command needs it."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from img2img._version import __version__
from img2img.cli import bench, compare, data, demo, distill, evaluate, export, import_, info, sheet, train, translate
from img2img.errors import Img2ImgError

app = typer.Typer(
    name="img2img",
    help="Train image-to-image translators on your own pictures, and translate whole folders with them.",
    epilog="First steps: img2img demo | img2img train --help | img2img translate --help",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"img2img {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train.train)
app.command("distill", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(distill.distill)
app.command("translate")(translate.translate)
app.command("evaluate")(evaluate.evaluate)
app.command("sheet")(sheet.sheet)
app.command("compare")(compare.compare)
app.command("info")(info.info)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run a command; what a user can mend ends in one line and a code other than 0, a traceback only with --debug."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except Img2ImgError as error:
        if debug:
            raise
        _say_error(str(error))
        sys.exit(1)
    except ModuleNotFoundError as error:
        if debug or "pip install" not in str(error):
            raise
        _say_error(str(error))
        sys.exit(1)
    except OSError as error:
        if debug or error.errno not in {
            errno.ENOSPC,
            errno.EACCES,
            errno.EROFS,
            errno.EPERM,
            errno.EDQUOT,
            errno.ENOTDIR,
            errno.ENAMETOOLONG,
            errno.EFBIG,
            errno.EIO,
        }:
            raise
        where = f" ({error.filename})" if error.filename else ""
        _say_error(
            f"{os.strerror(error.errno or 0)}{where}: nothing was half written; free some space or choose another place"
        )
        sys.exit(1)
    except SystemExit as error:
        if isinstance(getattr(error.__context__, "__cause__", None), KeyboardInterrupt):  # what typer makes of Ctrl-C
            typer.echo("interrupted", err=True)
        raise


def _say_error(message: str) -> None:
    typer.echo(f"error: {message}", err=True)
