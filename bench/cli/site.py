"""`effbench site`"""

import argparse
import contextlib
import sys

from bench.cli.common import ROOT, Commands, NoRecords, folder, opened, tell, whole


def add(commands: Commands) -> None:
    parser = commands.add(
        "site", run, "Render the leaderboard as static HTML.",
        "  effbench site --output build/site\n"
        "  effbench site --output build/site --serve          and show it at http://127.0.0.1:8000/\n"
        "  effbench site --results results --results build/demo/results --output build/site",
    )  # fmt: skip
    parser.add_argument("--output", type=folder, required=True, metavar="DIR")
    parser.add_argument("--results", type=folder, action="append", metavar="DIR", help="of records; repeat for more")
    parser.add_argument(
        "--strict", action="store_true", help="fail if a record can't be read or a figure can't be right"
    )
    parser.add_argument("--url", help="where it will be published, for the links of the feed")
    parser.add_argument(
        "--serve", type=whole(0, 65535), nargs="?", const=8000, metavar="PORT", help="show it on this machine"
    )


def run(arguments: argparse.Namespace) -> None:
    from bench.publish.serve import serve
    from bench.publish.site import build_site

    folders = list(dict.fromkeys(path.resolve() for path in arguments.results or [ROOT / "results"]))
    absent = [str(path) for path in folders if not path.is_dir()]
    if absent:
        raise NoRecords(f"there is no folder {absent[0]}")
    built = build_site(folders, opened(), arguments.output, arguments.url)
    for problem in built.broken:
        tell(f"broken record {problem}")
    for alarm in built.alarms:
        tell(f"alarm: {alarm}")
    print(f"{built.records} records; the leaderboard is at {built.index.resolve()}")
    if arguments.strict and (built.broken or built.alarms):
        sys.exit(1)
    if arguments.serve is None:
        return
    try:
        server = serve(arguments.output, arguments.serve)
    except OSError as error:
        tell(f"port {arguments.serve} can't be had ({error.strerror}); name another, or 0 for any that is free")
        sys.exit(2)
    with server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C stops it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
