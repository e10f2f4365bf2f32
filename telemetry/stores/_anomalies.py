"""An anomaly in two parts, as every store keeps it: what lists show, and the samples that only a look at one needs."""

import msgspec

from telemetry.anomaly import Anomaly, Samples, decode, encode
from telemetry.errors import StoreUnavailable

_SAMPLES = msgspec.json.Decoder(Samples)
NO_SAMPLES = Samples()


def bare(anomaly: Anomaly) -> Anomaly:
    """Without its samples."""
    return msgspec.structs.replace(anomaly, samples=NO_SAMPLES)


def parts_of(anomaly: Anomaly) -> tuple[str, str]:
    """(the anomaly without samples, the samples) as JSON."""
    return encode(bare(anomaly)).decode(), msgspec.json.encode(anomaly.samples).decode()


def anomaly_of(document: str, samples: str | None = None) -> Anomaly:
    """Read back; raises `StoreUnavailable` when the store gives back something else than was put."""
    try:
        anomaly = decode(document.encode())
        return anomaly if samples is None else msgspec.structs.replace(anomaly, samples=_SAMPLES.decode(samples))
    except (msgspec.MsgspecError, ValueError) as e:
        raise StoreUnavailable(f"the store holds what is no anomaly: {e}") from e
