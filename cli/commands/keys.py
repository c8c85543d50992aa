"""`rung key`: who may ask the API, and what for."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, tell

if TYPE_CHECKING:
    from cli.home import Home

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")


@app.command("create")
def create(
    scope: Annotated[
        list[str],
        typer.Option(help="decide, read, feedback, review, events or jobs; repeat it."),
    ],
    name: Annotated[str, typer.Option(help="Whose key it is.")] = "cli",
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Valid for so many days.")
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once; only a keyed hash of it is stored."""
    with errors_told(as_json):
        from cli.home import open_home

        with open_home() as home:
            expires = home.clock.now() + timedelta(days=days) if days else None
            key = home.store.create_key(tenant, name, tuple(scope), expires)
    told = {
        "key": key,
        "tenant": tenant,
        "scopes": sorted(scope),
        "expires_at": expires.isoformat() if expires else None,
    }
    tell(told, as_json, lambda: f"{key}\n(scopes: {', '.join(sorted(scope))}; shown only now)")


@app.command("list")
def listed(tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """The keys of a tenant, without their secrets."""
    with errors_told(as_json):
        from cli.home import open_home

        with open_home() as home:
            keys = [
                {
                    "id": key.id,
                    "name": key.name,
                    "scopes": sorted(key.scopes),
                    "expires_at": key.expires_at.isoformat() if key.expires_at else None,
                    "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
                }
                for key in home.store.list_keys(tenant)
            ]
    tell({"keys": keys}, as_json, lambda: "\n".join(map(_readable, keys)) or "no keys")


def _readable(key: dict[str, Any]) -> str:
    state = f"revoked {key['revoked_at']}" if key["revoked_at"] else "live"
    until = f", until {key['expires_at']}" if key["expires_at"] else ""
    return f"{key['id']}  {key['name']}: {', '.join(key['scopes'])} ({state}{until})"


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="An id that `rung key list` shows, or a name.")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Refuse a key, or every key of a name, from now on."""
    with errors_told(as_json):
        from cli.home import open_home
        from core.errors import NotFound

        with open_home() as home:
            revoked = revoke_keys(home, tenant, key)
        if not revoked:
            raise NotFound(
                "RUNG-KEY-UNKNOWN",
                "there is no such key",
                way_out="`rung key list` shows ids and names.",
            )
    tell({"revoked": revoked}, as_json, lambda: f"revoked: {', '.join(revoked)}")


def revoke_keys(home: "Home", tenant: str, key: str) -> list[str]:
    """The ids that are refused from now on; those revoked before stay as they are."""
    mine = [known.id for known in home.store.list_keys(tenant) if key in (known.id, known.name)]
    for key_id in mine:
        home.store.revoke_key(tenant, key_id)
    return mine
