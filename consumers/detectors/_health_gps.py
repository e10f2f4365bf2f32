"""The GPS rules: fixes that contradict each other, the speed they carry, or physics.

A fix is a row whose position or speed changed; feeds that repeat the last fix in every row are thereby read as what
they are.  Positions are metres on a plane about the last fix.
"""

import math

from consumers.detectors._health_board import (
    COUNT,
    GPS_FREEZE,
    GPS_JUMP,
    GPS_SPOOF,
    IMPOSSIBLE_SPEED,
    TAIL,
    Floats,
    Ints,
    Rows,
    learn_tail,
    post,
    tail_limit,
    usual,
)
from consumers.detectors._kernel import helper, kernel

FEATURES = (
    ("speed", "m/s"),
    ("change of speed", "m/s"),
    ("step beside the course", "m"),
    ("time at one position while moving", "s"),
    ("speed over ground against the reported speed", "m/s"),
)

RING = 10  # fixes whose displacement is held against their speed
# two tails first: of the intervals between changes, and of the steps beside the course
_STEPS = TAIL
_HAVE, _AT, _LAT, _LON, _SPEED, _HACC, _VX, _VY, _COURSE, _REPEATS, _FILLED, _X, _Y, _PATH, _TOKENS = range(
    2 * TAIL, 2 * TAIL + 15
)
GPS_SLOTS = 2 * TAIL + 15
GPS_INTS = 1

_M_PER_DEG = 111_195.0  # mean sphere, 6371.0088 km
_HACC_UNKNOWN = 5.0
_SPEED_MAX = 350.0
_ACCELERATION_MAX = 30.0
_ACCELERATION_SLACK = 10.0
_JUMP_M = 20.0
_JUMP_FOLDS = 10.0
_JUMP_MARGIN = math.log(2.0)
_JUMP_KNOWN = 30.0
_TOKENS_MAX = 10.0  # jumps that may come at once; each comes back after
_TOKEN_S = 30.0
_STALE_S = 20.0
_FREEZE_KNOWN = 5.0  # what never moved does not freeze
_FREEZE_S = 2.5
_FREEZE_INTERVALS = 3.5
_FREEZE_HITS_S = 120.0
_MOVING = 0.7
_SPOOF = 0.8
_SPOOF_SHARE = 0.08
_SPOOF_S = 4.0


@kernel
def gps(
    rows: Rows,
    values: Floats,
    columns: Ints,
    state: Floats,
    since: Ints,
    ring: Floats,
    base: int,
) -> None:
    """Judge rows; `columns` int64[4]: latitude, longitude, speed, accuracy (-1: absent); `ring` float64[RING, 4]."""
    if columns[0] < 0 or columns[1] < 0:
        return
    for i in range(len(rows.t_ns)):
        lat, lon = values[i, columns[0]], values[i, columns[1]]
        if math.isnan(lat) or math.isnan(lon) or abs(lat) > 90.0 or abs(lon) > 360.0:
            continue
        speed = values[i, columns[2]] if columns[2] >= 0 else math.nan
        if not speed >= 0.0:
            speed = math.nan  # platforms report -1 for unknown
        speed = min(speed, 1e6)
        hacc = values[i, columns[3]] if columns[3] >= 0 else math.nan
        if not 0.0 <= hacc <= 1e6:
            hacc = _HACC_UNKNOWN
        if state[_HAVE] == 0.0:
            _restart(state, since, lat, lon, speed, hacc, rows.now_s[i], rows.t_ns[i])
            continue
        if lat == state[_LAT] and lon == state[_LON] and (speed == state[_SPEED] or math.isnan(speed)):
            _repeated(rows, state, since, speed, rows.now_s[i], i, base)
            continue
        dt_s = rows.now_s[i] - state[_AT]
        if dt_s < 0.02:
            continue
        _fix(rows, state, since, ring, lat, lon, speed, hacc, dt_s, i, base)


@helper
def _restart(state: Floats, since: Ints, lat: float, lon: float, speed: float, hacc: float, now: float, t: int) -> None:
    state[_HAVE] = 1.0
    state[_AT], state[_LAT], state[_LON], state[_SPEED], state[_HACC] = now, lat, lon, speed, hacc
    state[_COURSE] = 0.0
    state[_REPEATS] = 0.0
    state[_FILLED] = 0.0
    since[0] = t


@helper
def _repeated(rows: Rows, state: Floats, since: Ints, speed: float, now: float, i: int, base: int) -> None:
    """The very same fix again: a freeze when it says that it moves and has stood far longer than a fix does."""
    state[_REPEATS] += 1.0
    if not speed > _MOVING or state[_REPEATS] < 2.0 or state[COUNT] < _FREEZE_KNOWN:
        return
    lasting = now - state[_AT]
    limit = max(_FREEZE_S, _FREEZE_INTERVALS * usual(state, 0))
    score = lasting / limit
    if lasting > limit + _FREEZE_HITS_S:
        score = 0.99
    post(rows, i, GPS_FREEZE, score, since[0], base + 3, lasting, 0.0, limit)


@helper
def _fix(
    rows: Rows,
    state: Floats,
    since: Ints,
    ring: Floats,
    lat: float,
    lon: float,
    speed: float,
    hacc: float,
    dt_s: float,
    i: int,
    base: int,
) -> None:
    turn = lon - state[_LON]
    turn -= 360.0 * math.floor((turn + 180.0) / 360.0)
    dx = turn * _M_PER_DEG * math.cos(math.radians(lat))
    dy = (lat - state[_LAT]) * _M_PER_DEG
    before, since_ns = state[_SPEED], since[0]
    _speed(rows, speed, before, dt_s, i, since_ns, base)
    if dt_s > _STALE_S:
        _restart(state, since, lat, lon, speed, hacc, rows.now_s[i], rows.t_ns[i])
        return
    moved = math.sqrt(dx * dx + dy * dy)
    carried = speed if not math.isnan(speed) else (before if not math.isnan(before) else 0.0)
    if state[_COURSE] > 0.0:
        beside = math.sqrt((dx - state[_VX] * dt_s) ** 2 + (dy - state[_VY] * dt_s) ** 2)
    else:
        beside = max(moved - carried * dt_s, 0.0)
    limit = max(_JUMP_M, 8.0 + 1.5 * (hacc + state[_HACC])) + 2.0 * max(dt_s - 1.0, 0.0) * carried
    if state[_STEPS + COUNT] >= _JUMP_KNOWN:
        limit = max(limit, math.exp(min(tail_limit(state, _STEPS, _JUMP_FOLDS, _JUMP_MARGIN), 16.0)))
    jumped = beside >= limit
    score = beside / limit
    state[_TOKENS] = min(state[_TOKENS] + dt_s / _TOKEN_S, 0.0)
    if jumped:
        if state[_TOKENS] < -_TOKENS_MAX:
            score = 0.99
        else:
            state[_TOKENS] -= 1.0
    post(rows, i, GPS_JUMP, score, since_ns, base + 2, beside, 0.0, limit)
    learn_tail(state, 0, math.log(dt_s))
    if jumped:
        state[_FILLED] = 0.0
    else:
        learn_tail(state, _STEPS, math.log(beside + 0.1))
        state[_VX], state[_VY] = dx / dt_s, dy / dt_s
        state[_COURSE] = 1.0
        _spoof(rows, state, ring, dx, dy, carried, hacc, i, base)
    state[_REPEATS] = 0.0
    state[_AT], state[_LAT], state[_LON], state[_SPEED], state[_HACC] = rows.now_s[i], lat, lon, speed, hacc
    since[0] = rows.t_ns[i]


@helper
def _speed(rows: Rows, speed: float, before: float, dt_s: float, i: int, since_ns: int, base: int) -> None:
    if math.isnan(speed):
        return
    post(rows, i, IMPOSSIBLE_SPEED, speed / _SPEED_MAX, rows.t_ns[i], base, speed, 0.0, _SPEED_MAX)
    if not math.isnan(before):
        limit = _ACCELERATION_MAX * dt_s + _ACCELERATION_SLACK
        change = speed - before
        post(rows, i, IMPOSSIBLE_SPEED, abs(change) / limit, since_ns, base + 1, change, -limit, limit)


@helper
def _spoof(
    rows: Rows,
    state: Floats,
    ring: Floats,
    dx: float,
    dy: float,
    carried: float,
    hacc: float,
    i: int,
    base: int,
) -> None:
    """Ground covered in the last fixes that their reported speed cannot explain."""
    dt_s = rows.now_s[i] - state[_AT]
    if state[_FILLED] == 0.0:
        state[_X], state[_Y], state[_PATH] = 0.0, 0.0, 0.0
    state[_X] += dx
    state[_Y] += dy
    state[_PATH] += 0.5 * (carried + (state[_SPEED] if not math.isnan(state[_SPEED]) else carried)) * dt_s
    n = int(state[_FILLED])
    if n >= RING:
        old = n % RING
        span = rows.now_s[i] - ring[old, 0]
        chord = math.sqrt((state[_X] - ring[old, 1]) ** 2 + (state[_Y] - ring[old, 2]) ** 2)
        path = state[_PATH] - ring[old, 3]
        if span >= _SPOOF_S:
            limit = (_SPOOF + 0.3 * hacc / span) * span + _SPOOF_SHARE * path
            score = (chord - path) / limit
            if score > 0.0:
                since_ns = rows.t_ns[i] - int(span * 1e9)
                post(rows, i, GPS_SPOOF, score, since_ns, base + 4, chord / span, 0.0, (path + limit) / span)
    at = n % RING
    ring[at, 0], ring[at, 1], ring[at, 2], ring[at, 3] = rows.now_s[i], state[_X], state[_Y], state[_PATH]
    state[_FILLED] = float(n + 1)
