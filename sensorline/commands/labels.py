"""`sensorline anomalies ack` and `label`: somebody has seen it, and what it was."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorline.commands._options import Config, DataDir, Json, Key, Url, open_api

if TYPE_CHECKING:
    from sensorline.answers import Anomaly, Label

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="As the list shows them.")]
Note = Annotated[str | None, typer.Option("--note", help="What it was; without it the last note stays.")]


class Verdict(StrEnum):
    """Was it what it says?"""

    REAL = "real"
    FALSE = "false"
    NONE = "none"


def ack(
    ids: Ids,
    note: Note = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Acknowledge anomalies: nobody is alerted of them any more."""
    with open_api(url, key, config, data_dir) as api:
        for id_ in ids:
            said = _said(api.anomaly(id_)) | {"acknowledged": True} | ({} if note is None else {"note": note})
            _show(id_, api.label(id_, said), as_json)


def label(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    verdict: Annotated[Verdict | None, typer.Option("--verdict", help="Was it what it says?")] = None,
    note: Note = None,
    acknowledged: Annotated[bool | None, typer.Option("--ack/--no-ack", help="Somebody has seen it.")] = None,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Judge an anomaly; what is not given stays as it was."""
    given = {"note": note, "acknowledged": acknowledged}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if verdict is not None:
        changed["verdict"] = None if verdict is Verdict.NONE else verdict.value
    if not changed:
        raise typer.BadParameter("say something: --verdict, --note, --ack or --no-ack", param_hint="ID")
    with open_api(url, key, config, data_dir) as api:
        _show(id_, api.label(id_, _said(api.anomaly(id_)) | changed), as_json)


def _said(one: "Anomaly") -> dict[str, Any]:
    """What was said of it until now."""
    if one.label is None:
        return {"acknowledged": False, "verdict": None, "note": ""}
    return {"acknowledged": one.label.acknowledged, "verdict": one.label.verdict, "note": one.label.note}


def _show(id_: str, said: "Label", as_json: bool) -> None:
    import msgspec

    from sensorline import output

    if as_json:
        output.json_line({"id": id_, **msgspec.to_builtins(said)})
        return
    words = ["acknowledged" if said.acknowledged else "not acknowledged", *([said.verdict] if said.verdict else [])]
    output.say(f"{id_}: {', '.join([*words, *([said.note] if said.note else [])])}")
