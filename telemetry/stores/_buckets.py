"""Where an envelope's buckets lie: one definition, so that every store answers the same.

Elasticsearch cuts `date_nanos` only at whole milliseconds (`date_histogram` with `fixed_interval` and `offset`), so
origin and width are whole milliseconds everywhere.  A time t is in bucket ``(t - origin_ns) // width_ns``, which
starts at ``origin_ns + bucket * width_ns``; in Elasticsearch that is ``fixed_interval = width``, ``offset = origin
modulo width``.
"""

from telemetry.batch import TIME_NS_MAX
from telemetry.errors import Invalid
from telemetry.ports import Span

MS_NS = 1_000_000
POINTS_MAX = 20_000


def buckets(span: Span, points: int) -> tuple[int, int]:
    """(origin_ns, width_ns): the span's start rounded down to a whole millisecond, and a width of whole milliseconds
    (at least 1 ms) such that at most `points` buckets cover the span.  The origin may be up to 1 ms before the span:
    the span itself still bounds which readings count.

    Raises `Invalid` when `points` is not from 1 to 20,000.
    """
    if not 1 <= points <= POINTS_MAX:
        raise Invalid(f"points must be from 1 to {POINTS_MAX}", path="points")
    first_ns, last_ns = bounds(span.from_ns, span.to_ns)
    origin_ns = first_ns // MS_NS * MS_NS
    length_ms = -(-max(last_ns + 1 - origin_ns, 0) // MS_NS)
    width_ms = max(1, -(-length_ms // points))
    return origin_ns, width_ms * MS_NS


def bounds(from_ns: int, to_ns: int) -> tuple[int, int]:
    """(first_ns, last_ns), both included, within the times there can be (1970 to 2262): no arithmetic overflows.

    An end of 2^63-1 or more is no end: a reading at the very last nanosecond is found too.
    """
    last_ns = TIME_NS_MAX if to_ns >= TIME_NS_MAX else to_ns - 1
    return min(max(from_ns, 0), TIME_NS_MAX), max(last_ns, -1)
