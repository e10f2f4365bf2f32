"""What a clock's epoch of now says about an earlier one: the words that travel beside a batch.  Pure."""

from edge.spooled import Epoch
from telemetry.beside import Beside

WORTH_SAYING_NS = 1_000_000


def correction_ns(of: Epoch, now: Epoch) -> int | None:
    """What must be added to times stamped in `of`; None where nothing is known.

    Another boot's clock cannot be compared, and one that is not synchronised knows nothing better.
    """
    if of.boot != now.boot or not now.synchronised:
        return None
    return now.offset_ns - of.offset_ns


def beside(of: Epoch, now: Epoch, now_ns: int, *, settings: str | None = None) -> Beside:
    """The words beside a batch stamped in `of` that goes out now; `now_ns` is the stamp of now, in the epoch `now`.

    `sent_ns` is told on the clock that stamped the batch; of another boot's clock nobody knows what it would show.
    """
    sent_ns = now_ns - (now.offset_ns - of.offset_ns) if of.boot == now.boot else None
    correction = correction_ns(of, now)
    if correction is not None and of.synchronised and abs(correction) < WORTH_SAYING_NS:
        correction = None
    return Beside(sent_ns, of.synchronised, correction, settings)
