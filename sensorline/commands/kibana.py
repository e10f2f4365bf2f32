"""`sensorline kibana`: data views, dashboards and a map for the Elasticsearch store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sensorline.commands._options import Config, Json, Sets, load_settings

if TYPE_CHECKING:  # they read the index templates
    from sensorline.kibana.bundle import Bundle
    from sensorline.kibana.install import Outcome

app = typer.Typer(help="Explore in Kibana: data views, dashboards and a map.", no_args_is_help=True)

KIBANA = "Kibana"
Prefix = Annotated[
    str | None,
    typer.Option("--prefix", help="Of the indices.", show_default="adapters.elasticsearch.prefix of the settings"),
]


@app.command()
def install(
    url: Annotated[str, typer.Option("--url", help="Kibana's address.", rich_help_panel=KIBANA)] = (
        "http://127.0.0.1:5601"
    ),
    space: Annotated[str, typer.Option("--space", help="Kibana space.", rich_help_panel=KIBANA)] = "",
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help="File with an API key (encoded).", rich_help_panel=KIBANA)
    ] = None,
    username: Annotated[str | None, typer.Option("--username", rich_help_panel=KIBANA)] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="File with its password.", rich_help_panel=KIBANA)
    ] = None,
    cafile: Annotated[
        Path | None,
        typer.Option("--cafile", help="Authority of a certificate of its own.", rich_help_panel=KIBANA),
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Send a secret over plain HTTP beyond this machine.")
    ] = False,
    api: Annotated[
        Literal["auto", "saved-objects", "dashboards"],
        typer.Option("--api", help="How dashboards are installed; auto: by the Dashboards API from Kibana 9.5 on."),
    ] = "auto",
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for a Kibana that is starting.")] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list, and connect nowhere.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the objects to this file, too.")] = None,
    prefix: Prefix = None,
    as_json: Json = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Install everything into a Kibana, in place of what an earlier version of this installed."""
    from sensorline import output
    from sensorline.kibana import client
    from sensorline.kibana import install as installing

    bundle = _bundle(prefix, config, sets)
    text = _checked(bundle)
    if out is not None:
        _write(out, text)
    if dry_run:
        objects = [
            (d["type"], d["id"], d["attributes"].get("name") or d["attributes"]["title"]) for d in bundle.objects()
        ]
        _listed(("type", "id", "title"), objects, as_json=as_json)
        output.remark(f"{len(objects)} objects would be installed; nothing was sent")
        return
    headers = client.authorisation(
        url, api_key_file=api_key_file, username=username, password_file=password_file, allow_http=allow_http
    )
    with client.Kibana(url, space=space, headers=headers, cafile=cafile, wait_s=wait_s) as kibana:
        outcome = installing.install(kibana, bundle, installing.Way(api), remark=output.remark)
    _told(outcome, as_json=as_json)


@app.command()
def export(prefix: Prefix = None, config: Config = None, sets: Sets = None) -> None:
    """Print the objects as lines that Kibana's own import takes (Stack Management, Saved objects)."""
    typer.echo(_checked(_bundle(prefix, config, sets)), nl=False)


def _bundle(prefix: str | None, config: Path | None, sets: list[str] | None) -> "Bundle":
    import re

    from sensorline.kibana.bundle import bundle
    from telemetry.errors import Misconfigured

    if prefix is None:
        prefix = str(load_settings(config, sets=sets).settings.adapter("elasticsearch").get("prefix", ""))
    if not re.fullmatch(r"([a-z0-9][a-z0-9_.-]{0,63})?", prefix):
        raise Misconfigured(f"{prefix!r} is no prefix of indices: lower case letters, digits and -_. only")
    return bundle(prefix)


def _checked(bundle: "Bundle") -> str:
    """The lines, once they are known to be right; else every finding is said, and it fails."""
    from sensorline import output
    from sensorline.kibana.bundle import ndjson
    from sensorline.kibana.validate import validate

    text = ndjson(bundle.objects())
    findings = validate(text, bundle.fields())
    for finding in findings:
        output.remark(f"{finding.path}: {finding.problem}: {finding.mend}")
    if findings:
        raise typer.Exit(1)
    return text


def _write(out: Path, text: str) -> None:
    from telemetry.errors import Misconfigured

    try:
        out.write_text(text, encoding="utf-8")
    except OSError as e:
        raise Misconfigured(f"{out} cannot be written ({e.strerror}): give another --out") from e


def _told(outcome: "Outcome", *, as_json: bool) -> None:
    from sensorline import output

    rows = [(i.type, i.id, i.title, i.by) for i in outcome.installed]
    _listed(("type", "id", "title", "by"), rows, as_json=as_json)
    for failure in outcome.failures:
        output.remark(f"{failure.type} {failure.id}: {failure.reason}: {failure.mend}")
    output.remark(f"{len(rows)} objects are installed in Kibana {outcome.version}".rstrip())
    if outcome.failures:
        output.remark(f"{len(outcome.failures)} were not taken")
        raise typer.Exit(1)


def _listed(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, as_json: bool) -> None:
    from sensorline import output

    if not as_json:
        output.table(columns, rows, empty="Nothing.")
        return
    for row in rows:
        output.json_line(dict(zip(columns, row, strict=True)))
