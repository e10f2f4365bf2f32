"""How full the spool is, for the status and the sender: by the file's notes, and with what waits in memory."""

from collections.abc import Mapping

from edge._spool.committer import Committer
from edge._spool.keeper import Keeper
from edge._spool.offered import Offered
from edge._spool.pending import Pending
from edge._spool.words import State
from edge.spooled import Depth


def of_file(state: State) -> Depth:
    """As it is durable."""
    batches, readings = _counted(state)
    return Depth(
        batches=batches,
        readings=readings,
        size_bytes=state.used_bytes,
        oldest_put_ns=state.oldest_put_ns,
        aside_batches=state.aside_batches,
        aside=dict(state.aside),
        dropped=dict(state.dropped),
    )


def of_all(keeper: Keeper, committer: Committer, pending: Pending, offered: Offered) -> Depth:
    """The file and what is gathered for it, without a look at the file."""
    state, live = committer.state, committer.live
    (in_file, readings), session = _counted(state), state.session(live)
    batches = in_file - len(pending.ended) + pending.batches
    # the file's oldest may be acknowledged, its delete still to be written; a lane's head is not
    kept = [state.oldest_put_ns] if in_file > len(pending.ended) else []
    put_ns = (*(offered.put_ns or kept), pending.oldest_put_ns)
    oldest = min((at for at in put_ns if at is not None), default=None)
    live_ready = (session.batches if session else 0) - sum(id_.session == live for id_ in pending.ended.values())
    return Depth(
        batches=batches,
        readings=readings - pending.ended_readings + pending.readings,
        size_bytes=state.used_bytes,
        oldest_put_ns=oldest if batches else None,
        live_batches=live_ready + pending.batches_of(live),
        live_ready=live_ready,
        aside_batches=state.aside_batches + len(pending.reasons),
        aside=dict(state.aside),
        dropped=_sum(state.dropped, pending.dropped),
        commits=keeper.commits,
        is_full=committer.is_full,
        reports=(*keeper.reports,),
    )


def _counted(state: State) -> tuple[int, int]:
    """Batches and readings, drafts included."""
    sessions = state.sessions.values()
    return (
        sum(s.batches for s in sessions) + state.drafts,
        sum(s.readings for s in sessions) + state.draft_readings,
    )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
