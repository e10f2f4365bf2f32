"""A watched stream's state: what goes into a checkpoint's header, and which arrays lie beside it."""

from typing import Any

import msgspec
import numpy.typing as npt

from consumers.clips import Clip
from consumers.detectors import State
from consumers.episode import Episode, Facts
from consumers.episodes import Rules
from consumers.frozen import Arrays
from consumers.profiles import Profile
from consumers.timeline import Clock, Layout, Rows
from consumers.watch import Seam, Watch

_ROWS = ("t", "at", "epoch", "narrow", "wide")


class _Clip(msgspec.Struct):
    number: int
    until_at: int
    epoch: int
    room: int
    is_complete: bool
    is_truncated: bool


class _Open(msgspec.Struct):
    facts: Facts
    clip: _Clip | None


class Head(msgspec.Struct):
    """Of one watch."""

    profile: str
    fields: list[str]
    models: dict[str, int]
    heard_ns: int
    clock: Clock
    seam: Seam
    number: int
    starts: dict[str, tuple[int, int]]
    open: dict[str, _Open]


def is_of(head: Head, profile: Profile) -> bool:
    """Whether it was watched as it would be now."""
    return (head.profile, tuple(head.fields)) == (profile.name, profile.fields)


def freeze(watch: Watch, prefix: str, arrays: dict[str, npt.NDArray[Any]]) -> Head:
    """The header; the arrays go to `arrays` under names that begin with `prefix`."""
    for name, state in watch.scorer.state().items():
        arrays |= {f"{prefix}{name}/{part}": array for part, array in state.items()}
    tape = watch.tape.rows()
    _put(tape, f"{prefix}tape/", arrays)
    opened: dict[str, _Open] = {}
    for kind, episode in watch.episodes.open.items():
        clip = episode.clip
        opened[kind] = _Open(episode.facts, None if clip is None else _clip_head(clip))
        if clip is not None:
            _put(clip.rows, f"{prefix}clip/{kind}/", arrays)
    return Head(
        profile=watch.profile.name,
        fields=list(watch.profile.fields),
        models={name: detector.MODEL for name, detector in watch.scorer.detectors.items()},
        heard_ns=watch.heard_ns,
        clock=watch.clock,
        seam=watch.seam,
        number=tape.number,
        starts=watch.episodes.starts,
        open=opened,
    )


def thaw(head: Head, prefix: str, arrays: Arrays, profile: Profile, rules: Rules) -> Watch:
    """Go on; raises `KeyError` or `ValueError` where an array is missing or of another form."""
    watch = Watch(profile, rules)
    watch.scorer.restore(dict(_states(watch, head, prefix, arrays)))
    watch.heard_ns, watch.clock, watch.seam = head.heard_ns, head.clock, head.seam
    layout = watch.layout
    watch.wound(_rows(arrays, f"{prefix}tape/", head.number, layout))
    watch.episodes.starts = head.starts
    for kind, opened in head.open.items():
        watch.episodes.open[kind] = Episode(opened.facts, _clip(opened.clip, f"{prefix}clip/{kind}/", arrays, layout))
    return watch


def _states(watch: Watch, head: Head, prefix: str, arrays: Arrays) -> list[tuple[str, State]]:
    """Of the detectors whose model is still the same."""
    states: list[tuple[str, State]] = []
    for name, detector in watch.scorer.detectors.items():
        if head.models.get(name) != detector.MODEL:
            continue
        state = {part: arrays[f"{prefix}{name}/{part}"] for part in detector.state()}
        for part, array in detector.state().items():
            if (state[part].dtype, state[part].shape) != (array.dtype, array.shape):
                raise ValueError(f"{prefix}{name}/{part} is of another form")
        states.append((name, state))
    return states


def _clip_head(clip: Clip) -> _Clip:
    return _Clip(clip.rows.number, clip.until_at, clip.epoch, clip.room, clip.is_complete, clip.is_truncated)


def _clip(head: _Clip | None, prefix: str, arrays: Arrays, layout: Layout) -> Clip | None:
    if head is None:
        return None
    rows = _rows(arrays, prefix, head.number, layout)
    return Clip(
        rows, head.until_at, head.epoch, head.room, is_complete=head.is_complete, is_truncated=head.is_truncated
    )


def _put(rows: Rows, prefix: str, arrays: dict[str, npt.NDArray[Any]]) -> None:
    arrays |= {f"{prefix}{part}": getattr(rows, part) for part in _ROWS}


def _rows(arrays: Arrays, prefix: str, number: int, layout: Layout) -> Rows:
    parts = {part: arrays[f"{prefix}{part}"] for part in _ROWS}
    like = layout.none()
    for part, array in parts.items():
        wanted = getattr(like, part)
        if array.dtype != wanted.dtype or array.shape != (len(parts["t"]), *wanted.shape[1:]):
            raise ValueError(f"{prefix}{part} is of another form")
    return Rows(number=number, **parts)
