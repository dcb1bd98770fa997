"""``earmark serve``: the page and the REST interface, for this machine."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from earmark.cli import arguments, drawing
from earmark.errors import MissingExtra

if TYPE_CHECKING:
    from earmark.server.running import Server

HELP = "a page in your browser, and REST for other programs"


_SWITCH_SECONDS = 0.0005
"""A request waits so long, at most, each time that the thread that reads the library anew is at work."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_library(parser, model=False)
    text = "the name or address to listen on (default: %(default)s); another than this machine's needs --token"
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", help=text)
    text = "the port to listen on; 0 takes one that is free (default: %(default)s)"
    parser.add_argument("--port", type=arguments.whole, metavar="PORT", default=8765, help=text)
    text = "what every request must carry, and the page asks for once (or EARMARK_TOKEN)"
    parser.add_argument("--token", metavar="TOKEN", help=text)
    text = "a folder that the page may scan and learn from, beside those of the library; may be given again"
    parser.add_argument("--music", action=arguments.Collect, metavar="FOLDER", default=(), help=text)
    parser.add_argument("-m", "--model", metavar="MODEL", default="default", help="a model folder or a name")
    arguments.add_jobs(parser)
    arguments.add_device(parser)
    text = "the key that opens the doors to players (or EARMARK_PLAYER_KEY)"
    parser.add_argument("--player-key", metavar="KEY", help=text)
    text = "a password for older OpenSubsonic clients, made for this alone (or EARMARK_PLAYER_PASSWORD)"
    parser.add_argument("--player-password", metavar="PASSWORD", help=text)
    text = "the Subsonic server whose ids players use; USER:PASSWORD is taken from EARMARK_MEDIA_SERVER"
    parser.add_argument("--media-server", metavar="URL", help=text)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    if not all(map(find_spec, ("fastapi", "uvicorn", "python_multipart"))):
        raise MissingExtra("server", "the page")
    from earmark.offline import switch_off

    switch_off()
    _compute_with_one_thread()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.disable()  # nothing of what is imported now goes away: looking for it takes a tenth of the start
    try:
        return _run(args)
    finally:
        gc.enable()


def _compute_with_one_thread() -> None:
    """Many requests are answered at a time: NumPy, which asks once, takes no more threads for each; children may."""
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if not own.keys() & os.environ.keys():
        os.environ.update(own)
        try:
            import numpy as np  # noqa: F401
        finally:
            for name in own:
                del os.environ[name]


def _run(args: argparse.Namespace) -> int:
    import asyncio

    from earmark.models.registry import find_models
    from earmark.server.application import ServerOptions
    from earmark.server.running import Server, listen
    from earmark.server.safety import is_loopback

    for name in ("token", "player_key", "player_password"):
        setattr(args, name, getattr(args, name) or os.environ.get(f"EARMARK_{name.upper()}") or None)
    if args.token is None and not is_loopback(args.host):
        drawing.print_notice(f"--host {args.host} can be reached by others: it needs --token, or EARMARK_TOKEN.")
        return 2
    find_models(args.model)  # what is wrong is said now, not at the first upload
    with listen(args.host, args.port) as listener:
        asyncio.run(_serve(Server(arguments.request(args, ServerOptions), listener)))
    _leave_threads()
    return 0


def _leave_threads(seconds: float = 5.0) -> None:
    """End the process although a request is still at work in its thread, once it has had some time: nobody listens."""
    end = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                sys.stdout.flush()
                os._exit(0)


async def _serve(server: Server) -> None:
    import asyncio

    serving = asyncio.create_task(server.run_until_told())
    ready = asyncio.create_task(server.answers.wait())
    await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        print(f"Earmark is at {server.url}", flush=True)
        gc.freeze()
        gc.enable()
    ready.cancel()
    await serving
