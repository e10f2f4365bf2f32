"""All that detection knows of a device, as bytes for a checkpoint and back; bit for bit.

What it holds, in KiB: of a stream the detectors (motion with health 4, series 57, channels 5 to 14, health 3), the tape
of its last 10 s (at most 769 rows: motion 54), and 4 x 1,024 raw rows (motion 288) while anomalies are open; at
most 16 streams, once for the live track and once for each of at most two backlogs.  A phone with all of its sensors
at 100 Hz has 225, and 56 as bytes; with motion alone 68 and 29; an idle thermometer 58, and less than 8 as bytes.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from consumers import frozen, watch_state
from consumers.joined import Joiner, Samples
from consumers.silence import Silence
from consumers.storm import Storm
from consumers.track import Plan, Track
from telemetry.errors import Malformed

SCHEMA = "detect/1"
FIXED_BYTES = 8 * 1024  # the objects beside the arrays, about
_HELD = ("gyro", "gravity", "waiting")


@dataclass(slots=True)
class Device:
    """One device's tracks; `backlogs` in the order in which they were last heard."""

    name: str
    live: Track
    silence: Silence = field(default_factory=Silence)
    backlogs: dict[str, Track] = field(default_factory=dict)


class _JoinerHead(msgspec.Struct):
    row_ns: int | None
    lag_ns: int
    has_acceleration: bool
    has_body: bool


class _TrackHead(msgspec.Struct):
    session: str
    storm: Storm
    joiner: _JoinerHead
    streams: dict[str, watch_state.Head]


class _Head(msgspec.Struct):
    device: str
    silence: Silence
    live: _TrackHead
    backlogs: list[_TrackHead]


def fresh(name: str, plan: Plan) -> Device:
    """Of a device never seen."""
    return Device(name, Track(plan, name, is_live=True))


def freeze(device: Device) -> bytes:
    """The same state gives the same bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    live = _track_head(device.live, "live/", arrays)
    backlogs = [_track_head(track, f"{k}/", arrays) for k, track in enumerate(device.backlogs.values())]
    head = _Head(device.name, device.silence, live, backlogs)
    return frozen.pack(SCHEMA, msgspec.to_builtins(head), arrays)


def thaw(name: str, data: bytes, plan: Plan) -> Device:
    """Read back; raises `Malformed`."""
    read = frozen.unpack(SCHEMA, data)
    try:
        head = msgspec.convert(read.head, _Head)
        if head.device != name:
            raise Malformed(f"frozen state is of device {head.device[:64]!r}, not {name!r}")
        live = _track(head.live, "live/", read.arrays, plan, name, is_live=True)
        backlogs = [_track(h, f"{k}/", read.arrays, plan, name, is_live=False) for k, h in enumerate(head.backlogs)]
    except (msgspec.ValidationError, KeyError, ValueError) as e:
        raise Malformed(f"frozen state of {name} is damaged: {type(e).__name__}: {e}") from e
    return Device(name, live, head.silence, {track.session: track for track in backlogs})


def _track_head(track: Track, prefix: str, arrays: dict[str, npt.NDArray[Any]]) -> _TrackHead:
    joiner = track.joiner
    for name in _HELD:
        held: Samples = getattr(joiner, name)
        arrays[f"{prefix}{name}/t"], arrays[f"{prefix}{name}/values"] = held.t, held.values
    streams = {name: watch_state.freeze(w, f"{prefix}{name}/", arrays) for name, w in track.watches.items()}
    held_head = _JoinerHead(joiner.row_ns, joiner.lag_ns, joiner.has_acceleration, joiner.has_body)
    return _TrackHead(track.session, track.storm, held_head, streams)


def _track(head: _TrackHead, prefix: str, arrays: frozen.Arrays, plan: Plan, device: str, *, is_live: bool) -> Track:
    held = {name: _samples(arrays, f"{prefix}{name}/", getattr(Joiner(), name)) for name in _HELD}
    j = head.joiner
    joiner = Joiner(held["gyro"], held["gravity"], held["waiting"], j.row_ns, j.lag_ns, j.has_acceleration, j.has_body)
    track = Track(plan, device, is_live, head.session, joiner, head.storm)
    for stream, watched in head.streams.items():
        profile = plan.stream(stream)
        if watch_state.is_of(watched, profile):
            track.watches[stream] = watch_state.thaw(watched, f"{prefix}{stream}/", arrays, profile, plan.rules)
    return track


def _samples(arrays: frozen.Arrays, prefix: str, like: Samples) -> Samples:
    t, values = arrays[f"{prefix}t"], arrays[f"{prefix}values"]
    if t.dtype != np.int64 or t.ndim != 1 or values.shape != (len(t), like.values.shape[1]):
        raise ValueError(f"{prefix} holds no samples")
    return Samples(t, values)
