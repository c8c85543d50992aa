"""`rung serve`: the HTTP API of everything that is live."""

import json
from typing import Annotated

import typer

from cli.told import AsJson, errors_told, note


def serve(
    host: Annotated[str | None, typer.Option(help="Overrides RUNG_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Overrides RUNG_PORT; 0 takes a free one.")
    ] = None,
    with_worker: Annotated[bool, typer.Option(help="Run a worker beside it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve the API until stopped."""
    with errors_told(as_json):
        from api.serve import serve as run
        from cli.home import open_home, open_runtime
        from core.log_lines import log_lines

        with open_home() as home:
            log_lines(home.settings.log_level)
            runtime = open_runtime(home)
            beside = None
            if with_worker:
                from workers.beside import start_worker

                beside = start_worker(home.settings)
                note("a worker runs beside the server")
            try:
                run(
                    runtime,
                    home.settings,
                    host if host is not None else home.settings.host,
                    port if port is not None else home.settings.port,
                    announce=_announce_json if as_json else None,
                )
            finally:
                if beside is not None:
                    beside.stop()


def _announce_json(address: str) -> None:
    print(json.dumps({"address": address}), flush=True)  # whoever waits for it may read a pipe
