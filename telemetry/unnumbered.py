"""Identities for senders that number nothing: a message's batch is told by its content alone.

OwnTracks and SenML have no sequence numbers, and a gateway has no memory that all of its replicas share, so nobody
could give them any.  Instead

    session   <protocol>-<UTC day of its newest reading>[-<node>]
    seq       2^62 + second of that day * 2^45 + 45 bits of a hash of its canonical readings

The same readings always have the same identity, whoever takes them and whenever they are sent again: the claims store
them once.  Two messages of one second with other content share an identity with a chance of 2^-45; even then nothing
is replaced or lost without a word, as the second ends as a `conflict`.

That such a seq is no number in a row is said by the seq itself (2^62 and above), not by a flag beside it.  So it still
holds where headers are made anew (a backup that is restored, a replay), no stored schema changes, and a ledger or an
order of sessions written by an earlier version stays readable.  A sender of ours would have to send a million batches
a second for a hundred thousand years to come there by counting.  What follows from it:

    completeness   nothing is ever missing, since nobody can know; what came is counted, and what came twice
    ordering       nothing waits for a gap; what is older than the newest that had its turn is late

Both remember a bounded number of the latest seqs.  A day is a session, so that none grows for ever.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from telemetry import wire
from telemetry.batch import Batch, Series

FIRST_SEQ = 2**62
HASH_BITS = 45
DAY_S = 86_400
_NODE_CHARS_MAX = 40
_NODE_HASH_BYTES = 4


def is_unnumbered(seq: int) -> bool:
    """True for a seq that was made here."""
    return seq >= FIRST_SEQ


def second_of(seq: int) -> int:
    """The second of its session's day, of such a seq."""
    return (seq - FIRST_SEQ) >> HASH_BITS


def batch_of(device: str, protocol: str, series: Sequence[Series], node: str = "") -> Batch:
    """The batch of these readings, at least one; `node` tells apart what one token sends for several."""
    newest_s = max(int(one.t.max()) for one in series) // 10**9
    content = wire.encode(Batch(device, protocol, 0, tuple(series)))
    digest = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) >> (64 - HASH_BITS)
    seq = FIRST_SEQ + ((newest_s % DAY_S) << HASH_BITS) + digest
    return Batch(device, _session(protocol, newest_s, node), seq, tuple(series))


def _session(protocol: str, newest_s: int, node: str) -> str:
    day = datetime.fromtimestamp(newest_s, UTC).strftime("%Y-%m-%d")
    return f"{protocol}-{day}-{_safe(node)}" if node else f"{protocol}-{day}"


def _safe(node: str) -> str:
    """Fit for a session's name; one that had to be changed or cut gets a hash, so that no two become one."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", node)
    is_urn = node.startswith("urn:") and safe.replace("_", ":") == node  # only its colons changed
    if len(safe) <= _NODE_CHARS_MAX and (is_urn or (safe == node and not node.startswith("urn_"))):
        return safe
    digest = hashlib.blake2b(node.encode(), digest_size=_NODE_HASH_BYTES).hexdigest()
    return f"{safe[: _NODE_CHARS_MAX - len(digest) - 1]}.{digest}"
