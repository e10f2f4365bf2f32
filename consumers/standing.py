"""What is wrong with a device as a whole, not with one of its streams: a record that opens and closes.  Pure."""

import msgspec

from consumers import words
from consumers.episode import Place, Scene
from consumers.severity import severity
from telemetry.anomaly import Anomaly, anomaly_id

DEVICE_STREAM = "device"
MODEL = 1


class Standing(msgspec.Struct):
    """One that is open; its times are those its kind is judged by."""

    kind: str
    session: str
    start_ns: int
    received_ns: int
    version: int = 0

    def record(
        self, scene: Scene, place: Place, end_ns: int, carried: tuple[str, str, float, float], *, is_open: bool
    ) -> Anomaly:
        """Its record, with the next version; `carried` is feature, unit, value seen and the most that is usual."""
        self.version += 1
        feature, unit, seen, high = carried
        evidence = words.evidence(feature, unit, seen, 0.0, high)
        score = max(seen / high, 1.0) if high > 0 else 1.0
        return Anomaly(
            id=anomaly_id(scene.device, self.session, DEVICE_STREAM, self.kind, self.start_ns),
            version=self.version,
            device=scene.device,
            session=self.session,
            stream=DEVICE_STREAM,
            kind=self.kind,
            severity=severity(self.kind, score),
            start_ns=self.start_ns,
            end_ns=max(end_ns, self.start_ns),
            is_open=is_open,
            score=score,
            peak_ns=max(end_ns, self.start_ns),
            words=words.sentence(self.kind, evidence, max(end_ns, self.start_ns)),
            evidence=(evidence,),
            detector=self.kind,
            model=MODEL,
            is_live=scene.is_live,
            received_ns=self.received_ns,
            updated_ns=place.received_ns,
            partition=place.partition,
            offset=place.offset,
        )
