"""The recurrences of `channels`: every channel's level against where its own past says that it usually is."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.detectors._kernel import kernel

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Settings(NamedTuple):
    """One setting for all streams; none has a unit of a channel, and time is counted in rows."""

    threshold: float  # an alarm opens when a level is so many scales from its usual place
    close: float  # ... and closes below this share of it
    back: float  # ... or, away from there, once it has come back to this share of its way
    back_rows: int  # ... and stayed so long: what is left is then usual
    rest: float  # ... this much of it
    smooth: float  # weight of the newest row in a level
    block_rows: int  # normal values are kept as means of so many
    fit_blocks: int  # the newest normal blocks that make the usual place
    doubt_blocks: int  # the newest normal blocks that are not yet believed: an anomaly may be creeping in
    warm_rows: int  # no alarm before a channel has shown so many
    horizon_rows: int  # wander is extrapolated so far
    few: float  # widens the scale of a level that came back seldom: 1 + few / times
    slow: float  # widens the scale of a channel that wanders more than it trembles
    step: float  # a scale is at least this share of the channel's smallest step
    spike: float  # one row that is so many usual moves out, alone, is not looked at
    clip: float  # one row pulls a level at most by this share of the threshold
    relearn_rows: int  # after so long in alarm the new level is the usual one
    absent_rows: int  # a channel that has been absent so long is no longer in alarm


SETTINGS = Settings(
    threshold=2.5,
    close=0.6,
    back=0.3,
    back_rows=20,
    rest=2.0,
    smooth=0.1,
    block_rows=5,
    fit_blocks=80,
    doubt_blocks=16,
    warm_rows=100,
    horizon_rows=400,
    few=30.0,
    slow=3.0,
    step=0.1,
    spike=6.0,
    clip=0.8,
    relearn_rows=1800,
    absent_rows=300,
)

HUGE = 1e150  # its square is still finite; anything beyond is taken as this
TOP = 1e6  # scores end here
TALL_KEPT = 0.999  # a row: of the second tallest lone excursion, which makes such excursions usual
MOVE_RATE = 0.05  # weight of the newest row in the usual move from row to row
BELOW = 1.0 - 1e-9  # the highest score without an alarm
FORGET = 0.9999  # a block: how long a shift that was learned stays a usual size of shift

# what is known of a channel now (floats)
LAST, BEFORE, VALUE, MOVE, TALL, TALLER, QUANTUM = range(7)  # rows: newest, the one before, without spikes; usual moves
LEVEL, SEEN, CENTRE, SCALE, NOISE, KNOWN = range(7, 13)  # level (clipped), as seen; where it lives, how far it strays
SUM, SQUARES, RATIO, PEAK = range(13, 17)  # the block so far; the level's distance in thresholds, and its peak in alarm
FLOATS = 17
# ... and counts of it
BLOCKS, START, IN_BLOCK, ALARM, ALARM_ROWS, CALM_ROWS, ABSENT_ROWS, SINCE = range(8)
COUNTS = 8


@kernel
def known(x: float) -> bool:
    """Not NaN."""
    return not np.isnan(x)


@kernel
def _despiked(now: Floats, x: float, s: Settings) -> float:
    """The value, or the median of the newest three where it is a lone spike; NaN for a channel's first two.

    A spike is taller than usual moves and than the second tallest one before: what recurs is the channel's nature.
    """
    low, high = min(now[BEFORE], now[LAST]), max(now[BEFORE], now[LAST])
    fresh = not known(now[BEFORE])
    now[BEFORE], now[LAST] = now[LAST], x
    if fresh:
        return float(np.nan)
    middle = max(low, min(high, x))
    out = abs(x - middle)
    v = x if out <= max(s.spike * max(now[MOVE], now[QUANTUM]), 1.5 * now[TALL]) else middle
    now[TALL], now[TALLER] = TALL_KEPT * max(now[TALL], min(out, now[TALLER])), TALL_KEPT * max(now[TALLER], out)
    if known(now[VALUE]):
        moved = abs(v - now[VALUE])
        now[MOVE] += MOVE_RATE * (moved - now[MOVE])
        if moved > 0.0 and (moved < now[QUANTUM] or now[QUANTUM] == 0.0):
            now[QUANTUM] = moved
    now[VALUE] = v
    return v


@kernel
def _usual(means: Floats, spreads: Floats, start: int, n: int, step: float, s: Settings) -> tuple[float, float, float]:
    """(centre, scale, noise) of the oldest `n` blocks of a ring: where the level lives, and how far it strays."""
    size = len(means)
    block = np.empty(n)
    noise2, centre = step * step / 12.0, 0.0
    for i in range(n):
        j = (start + i) % size
        block[i] = means[j]
        noise2 += spreads[j] / n
        centre += means[j] / n
    wide = max(round(1.0 / s.smooth / s.block_rows), 1)
    k = n - wide + 1
    level = np.empty(k)
    raw, wander = 0.0, 0.0
    for i in range(n):
        raw += (block[i] - centre) ** 2 / n
    for i in range(k):
        total = 0.0
        for j in range(wide):
            total += block[i + j] / wide
        level[i] = total
        wander += (total - centre) ** 2 / k
    scale2 = max(wander, _extrapolated(level, wide, n, s))
    times = n / max(wide * (wander / raw if raw > 0.0 else 1.0), 1.0) - 1.0  # how often the level came back
    scale2 *= 1.0 + s.few / max(times, 0.5)
    slow = 1.0 + s.slow * min(wander / noise2, 1e6) if noise2 > 0.0 else 1.0
    return centre, np.sqrt(scale2) * slow, np.sqrt(noise2)


@kernel
def _extrapolated(level: Floats, wide: int, n: int, s: Settings) -> float:
    """The variance to expect over the horizon, from how the level's differences grow with their distance."""
    near = max(n // 8, wide)
    far = max(n // 2, near + 1)
    k = len(level)
    if far >= k:
        return 0.0
    v_near, v_far = 0.0, 0.0
    for i in range(k - near):
        v_near += (level[i + near] - level[i]) ** 2 / (k - near)
    for i in range(k - far):
        v_far += (level[i + far] - level[i]) ** 2 / (k - far)
    if not (v_near > 0.0 and v_far > 0.0):
        return 0.0
    growth = min(max(np.log(v_far / v_near) / np.log(far / near), 0.0), 2.0)
    return float(0.5 * v_far * max(s.horizon_rows / s.block_rows / far, 1.0) ** growth)


@kernel
def _learn_block(now: Floats, count: Counts, means: Floats, spreads: Floats, s: Settings) -> None:
    """A block of normal rows is complete: keep it, and see anew what is usual."""
    size = len(means)
    i = (count[START] + count[BLOCKS]) % size
    means[i] = now[SUM]
    spreads[i] = now[SQUARES] / max(count[IN_BLOCK] - 1, 1)
    if count[BLOCKS] < size:
        count[BLOCKS] += 1
    else:
        count[START] = (count[START] + 1) % size
    warm = s.warm_rows // s.block_rows
    use = max(count[BLOCKS] - s.doubt_blocks, min(count[BLOCKS], warm))
    if use < warm:
        return
    now[KNOWN] *= FORGET
    centre, scale, noise = _usual(means, spreads, count[START], use, now[QUANTUM], s)
    now[CENTRE], now[SCALE], now[NOISE] = centre, max(scale, 1e-12 * abs(centre), now[KNOWN]), noise


@kernel
def _take(now: Floats, count: Counts, x: float, s: Settings) -> None:
    """One present value: the level follows it, and the block takes it in."""
    v = _despiked(now, x, s)
    if not known(v):
        return
    now[SEEN] = now[SEEN] + s.smooth * (v - now[SEEN]) if known(now[SEEN]) else v
    scale = max(now[SCALE], s.step * now[QUANTUM])
    if known(now[SCALE]):
        reach = s.clip * s.threshold * scale / s.smooth
        v = min(max(v, now[CENTRE] - reach), now[CENTRE] + reach)
    now[LEVEL] = now[LEVEL] + s.smooth * (v - now[LEVEL]) if known(now[LEVEL]) else v
    count[IN_BLOCK] += 1
    step = v - now[SUM]
    now[SUM] += step / count[IN_BLOCK]
    now[SQUARES] += step * (v - now[SUM])
    now[RATIO] = 0.0
    if known(now[SCALE]):
        away = abs(now[LEVEL] - now[CENTRE])
        now[RATIO] = min(away / scale / s.threshold, TOP) if away > 0.0 else 0.0


@kernel
def _judge(now: Floats, count: Counts, t_ns: int, s: Settings) -> None:
    """Open, hold or close this channel's alarm; after too long take the new level for the usual one."""
    if now[RATIO] < s.close:
        count[SINCE] = t_ns
    if count[ALARM] == 0:
        if now[RATIO] >= 1.0:
            count[ALARM], count[ALARM_ROWS], count[CALM_ROWS] = 1, 0, 0
            count[BLOCKS] = max(count[BLOCKS] - s.doubt_blocks, 0)
            now[PEAK] = now[RATIO]
        return
    now[PEAK] = max(now[PEAK], now[RATIO])
    count[ALARM_ROWS] += 1
    count[CALM_ROWS] = count[CALM_ROWS] + 1 if now[RATIO] < s.back * now[PEAK] else 0
    if now[RATIO] < s.close:
        count[ALARM] = 0
    elif count[ABSENT_ROWS] > s.absent_rows:
        count[ALARM] = 0
        now[LEVEL], now[RATIO] = now[CENTRE], 0.0
    elif count[CALM_ROWS] >= s.back_rows:
        count[ALARM] = 0
        now[KNOWN] = max(now[KNOWN], s.rest * abs(now[LEVEL] - now[CENTRE]) / s.threshold)
        now[SCALE] = max(now[SCALE], now[KNOWN])
    elif count[ALARM_ROWS] >= s.relearn_rows:
        count[ALARM], count[BLOCKS] = 0, 0
        now[KNOWN] = max(now[KNOWN], 1.2 * abs(now[LEVEL] - now[CENTRE]) / s.threshold)
        now[CENTRE] = now[SCALE] = now[LEVEL] = np.nan
        now[RATIO] = 0.0


@kernel
def advance(
    values: Floats, t_ns: Counts, now: Floats, count: Counts, means: Floats, spreads: Floats,
    score: Floats, lead: Counts, what: Floats, since: Counts, s: Settings,
) -> None:  # fmt: skip
    """Score and learn rows [n, channels]; in alarm `lead` is the channel, `what` its seen, low, high."""
    n, channels = values.shape
    for i in range(n):
        best, leader = -1.0, -1
        for c in range(channels):
            x = values[i, c]
            if x - x != 0.0:  # absent or infinite
                count[c, ABSENT_ROWS] += 1
            else:
                count[c, ABSENT_ROWS] = 0
                _take(now[c], count[c], min(max(x, -HUGE), HUGE), s)
            _judge(now[c], count[c], t_ns[i], s)
            alarm = count[c, ALARM] == 1
            mine = max(now[c, RATIO], 1.0) if alarm else min(now[c, RATIO], BELOW)
            if mine > best:
                best = mine
                leader = c if alarm else -1
            if count[c, IN_BLOCK] == s.block_rows:
                if not alarm:
                    _learn_block(now[c], count[c], means[c], spreads[c], s)
                now[c, SUM], now[c, SQUARES], count[c, IN_BLOCK] = 0.0, 0.0, 0
        score[i] = max(best, 0.0)
        lead[i] = leader
        if leader >= 0:
            width = s.threshold * max(now[leader, SCALE], s.step * now[leader, QUANTUM])
            what[i, 0] = now[leader, SEEN]
            what[i, 1] = now[leader, CENTRE] - width
            what[i, 2] = now[leader, CENTRE] + width
            since[i] = min(count[leader, SINCE], t_ns[i])
