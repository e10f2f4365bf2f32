"""An anomaly as the API shows it."""

import logging
from typing import Annotated, Any

from pydantic import Field

from gateway.answers import Answer
from gateway.services import Services
from telemetry.anomaly import Anomaly, Evidence, Severity
from telemetry.errors import Malformed
from telemetry.labels import Label, Verdict

logger = logging.getLogger(__name__)

Ns = Annotated[int, Field(description="UTC nanoseconds.")]


class EvidenceShown(Answer):
    """A feature that carried it."""

    feature: str
    unit: str
    seen: float
    usual_low: float
    usual_high: float
    words: str = Field(examples=["vibration 4.1x its usual"])


class SamplesShown(Answer):
    """Raw rows from before it to after it."""

    columns: dict[str, list[int | float | None]] = Field(
        description="`t` (UTC nanoseconds) and a column a field, of equal length; null where a row lacks the field.",
        examples=[{"t": [1738324800000000000], "ax": [9.81]}],
    )
    truncated: bool = Field(description="There were more rows than are kept.")


class LabelShown(Answer):
    """What an operator said of it last."""

    acknowledged: bool = Field(description="Somebody has seen it: no further alert of it.")
    verdict: Verdict | None
    note: str
    by: str = Field(description="Who said it.")
    at_ns: int = Field(description="And when, UTC nanoseconds.")


class AnomalyShown(Answer):
    """Opens at once, and is updated under the same id until it is over."""

    id: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015"])
    version: int = Field(ge=0, description="Rises with each update.")
    device: str
    session: str
    stream: str = Field(description="The sensor, or `motion` where several are judged together.")
    kind: str = Field(examples=["fall"])
    severity: Severity
    start_ns: Ns
    end_ns: int = Field(description="UTC nanoseconds, as far as is known.")
    open: bool
    score: float = Field(description="The peak; 1 is the alarm's threshold.")
    peak_ns: Ns
    words: str = Field(examples=["fall: impact 3.9x its usual for this device at 14:02:07"])
    evidence: list[EvidenceShown]
    detector: str
    model: int
    live: bool = Field(description="False: found in a backlog or afterwards; it raised no alert.")
    received_ns: int = Field(description="When the batch that opened it was received.")
    updated_ns: int = Field(description="When the batch of the last update was received.")
    label: LabelShown | None = Field(description="What an operator said of it; null: nobody said anything.")


class AnomalyWhole(AnomalyShown):
    """One, with its samples."""

    samples: SamplesShown


def listed(one: Anomaly, services: Services) -> dict[str, Any]:
    """An `AnomalyShown`."""
    return {
        "id": one.id,
        "version": one.version,
        "device": one.device,
        "session": one.session,
        "stream": one.stream,
        "kind": one.kind,
        "severity": one.severity,
        "start_ns": one.start_ns,
        "end_ns": one.end_ns,
        "open": one.is_open,
        "score": one.score,
        "peak_ns": one.peak_ns,
        "words": one.words,
        "evidence": [_evidence(said) for said in one.evidence],
        "detector": one.detector,
        "model": one.model,
        "live": one.is_live,
        "received_ns": one.received_ns,
        "updated_ns": one.updated_ns,
        "label": _label(services, one.id),
    }


def whole(one: Anomaly, services: Services) -> dict[str, Any]:
    """An `AnomalyWhole`."""
    samples = one.samples
    columns = {"t": samples.t} | {name: values for name, values in samples.values.items() if name != "t"}
    return listed(one, services) | {"samples": {"columns": columns, "truncated": samples.is_truncated}}


def label_shown(label: Label) -> dict[str, Any]:
    """A `LabelShown`."""
    return {
        "acknowledged": label.acknowledged,
        "verdict": label.verdict,
        "note": label.note,
        "by": label.by,
        "at_ns": label.at_ns,
    }


def _label(services: Services, id_: str) -> dict[str, Any] | None:
    try:
        label = services.labelling.labels.of(id_)
    except Malformed as e:  # what another version wrote must not hide the anomaly
        logger.error("the label of anomaly %s cannot be read: %s", id_, e.message)  # noqa: TRY400 - says it all
        return None
    return None if label is None else label_shown(label)


def _evidence(said: Evidence) -> dict[str, Any]:
    return {
        "feature": said.feature,
        "unit": said.unit,
        "seen": said.seen,
        "usual_low": said.low,
        "usual_high": said.high,
        "words": said.words,
    }
