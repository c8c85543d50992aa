"""`rung serve`: the HTTP API of everything that is live."""

from typing import Annotated

import typer

from cli.told import errors_told, note


def serve(
    host: Annotated[str | None, typer.Option(help="Overrides RUNG_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Overrides RUNG_PORT; 0 takes a free one.")
    ] = None,
    with_worker: Annotated[bool, typer.Option(help="Run a worker beside it.")] = False,
) -> None:
    """Serve the API until stopped."""
    with errors_told(False):
        from api.serve import serve as run
        from cli.home import open_home, open_runtime

        with open_home() as home:
            runtime = open_runtime(home)
            beside = None
            if with_worker:
                from workers.run import start_worker

                beside = start_worker(home.settings)
                note("a worker runs beside the server")
            try:
                run(
                    runtime,
                    home.settings,
                    host if host is not None else home.settings.host,
                    port if port is not None else home.settings.port,
                )
            finally:
                if beside is not None:
                    beside.stop()
