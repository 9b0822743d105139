"""`zhangban demo`: the main job from end to end on this machine, shown."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from api.demo import run as demo


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--chaos", action="store_true", help="WeChat fails, a worker is killed, Redis is emptied: the end is the same"
    )
    parser.add_argument("--keep", action="store_true", help="stay up afterwards and print addresses and commands")
    parser.add_argument("--json", metavar="FILE", help="write everything that happened as data")


def run(arguments: Namespace) -> int:
    """Run the demo; 0 when every check passes."""
    return demo.run(chaos=arguments.chaos, keep=arguments.keep, json_file=arguments.json)
