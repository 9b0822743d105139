"""`zhangban serve`: answer HTTP requests until a signal stops it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from api import serving
from api.commands import say
from api.commands.running import change_settings, prepared


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--host", help="address to listen on (HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (PORT, 8000)")
    parser.add_argument("--workers", type=int, help="processes that share the port (WORKERS, 1)")
    parser.add_argument("--lifeline", type=int, metavar="FD", help="stop when the other end of this pipe closes")


def run(arguments: Namespace) -> int:
    """Serve; 0 after a stop that was ordered, 3 when the application did not start."""
    change_settings(host=arguments.host, port=arguments.port, workers=arguments.workers)
    with prepared():
        return serving.serve(
            lifeline=arguments.lifeline, listening=lambda address: say(f"zhangban listens on {address}")
        )
