"""`sensorline person`: who may log in on the page, and as what."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from sensorline.commands._options import Config, DataDir, Json, Key, Url, open_api

app = typer.Typer(help="People who log in: add, list, remove, give a new password.", no_args_is_help=True)


class RoleName(StrEnum):
    """Each may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(help="The person.")]


@app.command()
def add(
    name: Name,
    role: Annotated[RoleName, typer.Option("--role", help="What the person may do.")] = RoleName.VIEWER,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Let somebody log in; the random password is shown this once."""
    with open_api(url, key, config, data_dir) as api:
        added = api.add_person(name, role.value)
        _show(added.name, added.password, api.url, as_json=as_json)


@app.command("list")
def list_people(
    as_json: Json = False, url: Url = None, key: Key = None, config: Config = None, data_dir: DataDir = None
) -> None:
    """List who may log in."""
    import msgspec

    from sensorline import output

    with open_api(url, key, config, data_dir) as api:
        people = api.people()
    if as_json:
        for person in people:
            output.json_line(msgspec.to_builtins(person))
        return
    rows = [(p.name, p.role, output.when(p.created_ns), output.when(p.changed_ns)) for p in people]
    output.table(("person", "role", "added", "changed"), rows, empty="Nobody: `sensorline person add NAME` adds one.")


@app.command()
def password(
    name: Name,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Give a person a new random password, in place of a forgotten one; ends the person's sessions."""
    with open_api(url, key, config, data_dir) as api:
        given = api.reset_password(name)
        _show(given.name, given.password, api.url, as_json=as_json)


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """End a person's access: logged out everywhere within 5 seconds."""
    from sensorline import output

    if not yes and not (sys.stdin.isatty() and typer.confirm(f"End {name}'s access?")):
        raise typer.BadParameter("nobody was removed: say --yes", param_hint="--yes")
    with open_api(url, key, config, data_dir) as api:
        api.remove_person(name)
    if as_json:
        output.json_line({"name": name, "removed": True})
    else:
        typer.echo(f"{name} may not log in any more.")


def _show(name: str, given: str, url: str, *, as_json: bool) -> None:
    from sensorline import output

    if as_json:
        output.json_line({"name": name, "password": given})
        return
    typer.echo(f"{name} logs in at {url} with {given}")
    typer.echo("  The password is shown this once.  It is changed on the page, under Account.")
