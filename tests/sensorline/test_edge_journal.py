"""The edge's journal as a ledger: what is given again after a failed commit, and what a start and an end settle."""

from pathlib import Path

import numpy as np
import pytest

from edge._spool import look
from edge.batcher import CutLimits
from edge.settings import SpoolSettings
from edge.spool import Spool
from edge.spooled import Epoch, Lane
from sensorline.edge_journal import LedgerJournal
from simulator import ledger
from simulator.ledger import End
from telemetry.batch import BatchId, Series
from telemetry.clock import ManualClock
from telemetry.errors import Misconfigured

EPOCH = Epoch("boot", 0, synchronised=True)


def ids(session: str, *seqs: int) -> list[BatchId]:
    return [BatchId("pi", session, seq) for seq in seqs]


async def spooled(folder: Path, journal: LedgerJournal, batches: int, settings: SpoolSettings | None = None) -> Spool:
    """A spool with some committed batches, open; with settings of its own they are large ones, of noise."""
    clock, rng = ManualClock(), np.random.default_rng(1)
    spool = await Spool.open(
        folder,
        settings or SpoolSettings(),
        device="pi",
        clock=clock,
        limits=CutLimits(),
        epoch=EPOCH,
        journal=journal,
        inline=True,
    )
    for k in range(batches):
        values = {"pressure": rng.uniform(900, 1000, 5_000 if settings else 1)}
        times = k * 10**9 + np.arange(1, len(values["pressure"]) + 1)
        await spool.put([(Series.of("pressure", times, values),)], epoch=EPOCH)
        await spool.commit()
    return spool


def test_a_seq_that_was_not_committed_is_given_again(tmp_path: Path) -> None:
    journal = LedgerJournal(tmp_path / "l")
    first, second = ids("01A", 0, 1)
    journal.handed_over([(first, "h0", 5), (second, "h1", 5)])
    journal.handed_over([(second, "other", 9)])  # the commit before failed, and a drop made room
    journal.ended(second, "acknowledged")
    journal.close()
    found = ledger.read(tmp_path / "l")
    assert (found[second].content_hash, found[second].readings, found[second].end) == ("other", 9, End.ACKNOWLEDGED)


async def test_a_start_and_an_end_give_every_batch_an_end(tmp_path: Path) -> None:
    journal = LedgerJournal(tmp_path / "l")
    spool = await spooled(tmp_path, journal, 3)
    head = await spool.head(Lane.LIVE)
    assert head is not None
    await spool.free(head.id)
    await spool.close()
    (lost,) = ids(head.id.session, 99)
    journal.handed_over([(lost, "h", 2)])  # and then the process was killed before its commit
    journal.begin(tmp_path)
    found = ledger.read(tmp_path / "l")
    assert [(b.id.seq, b.end, b.reason) for b in found.values()] == [
        (0, End.ACKNOWLEDGED, ""),
        (1, None, ""),
        (2, None, ""),
        (99, End.DROPPED, "crash_before_commit"),
    ]
    journal.leave(tmp_path)
    assert [b.end for b in ledger.read(tmp_path / "l").values()][1:3] == [End.UNSENT, End.UNSENT]
    (tmp_path / "spool.db").unlink()
    journal.begin(tmp_path)
    assert {b.reason for b in ledger.read(tmp_path / "l").values()} == {"", "spool_lost", "crash_before_commit"}
    journal.close()


async def test_only_the_last_hand_over_before_a_crash_may_be_uncommitted(tmp_path: Path) -> None:
    """What is missing and was handed over before it is a loss, and is not called a crash before a commit."""
    journal = LedgerJournal(tmp_path / "l")
    await (await spooled(tmp_path, journal, 1)).close()
    (first, second, third) = ids("01Z", 0, 1, 2)
    journal.handed_over([(first, "h", 1)])
    journal.handed_over([(second, "h", 1), (third, "h", 1)])
    journal.ended(first, "acknowledged")
    journal.handed_over([(batch, "h", 1) for batch in ids("01Z", 3, 4)])
    journal.begin(tmp_path)
    found = ledger.read(tmp_path / "l")
    assert [found[batch].reason for batch in (first, second, third)] == ["", "not_in_spool", "not_in_spool"]
    assert [found[batch].reason for batch in ids("01Z", 3, 4)] == ["crash_before_commit"] * 2
    journal.close()


async def test_what_is_in_the_spool_at_the_end_is_unsent_whatever_a_failed_transaction_said(tmp_path: Path) -> None:
    journal = LedgerJournal(tmp_path / "l")
    spool = await spooled(tmp_path, journal, 4)
    handed = list(ledger.read(tmp_path / "l"))
    for batch, end in zip(handed, ("dropped", "set_aside", "acknowledged"), strict=False):
        journal.ended(batch, end)
    await spool.close()
    journal.leave(tmp_path)
    journal.close()
    ends = [batch.end for batch in ledger.read(tmp_path / "l").values()]
    assert ends == [End.UNSENT, End.UNSENT, End.ACKNOWLEDGED, End.UNSENT]


async def test_a_batch_of_which_a_tombstone_is_left_stays_dropped(tmp_path: Path) -> None:
    journal = LedgerJournal(tmp_path / "l")
    spool = await spooled(tmp_path, journal, 150, SpoolSettings(size_bytes_max=2**20))
    await spool.close()
    journal.leave(tmp_path)
    journal.close()
    ends = [batch.end for batch in ledger.read(tmp_path / "l").values()]
    assert ends.count(End.DROPPED) == len(ends) - len(look.ids(tmp_path)) > 0
    assert ends[-1] is End.UNSENT


def test_what_was_in_a_spool_that_is_gone_was_lost_with_it(tmp_path: Path) -> None:
    journal = LedgerJournal(tmp_path / "l")
    (lost,) = ids("01Z", 0)
    journal.handed_over([(lost, "h", 1)])
    journal.begin(tmp_path)  # killed, and the folder deleted
    journal.close()
    assert ledger.read(tmp_path / "l")[lost].reason == "spool_lost"


def test_a_spool_that_cannot_be_read_leaves_everything_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = LedgerJournal(tmp_path / "l")
    (tmp_path / "spool.db").write_bytes(b"garbage" * 1000)
    journal.handed_over([(BatchId("pi", "01A", 0), "h", 1)])
    journal.begin(tmp_path)
    journal.close()
    assert [b.end for b in ledger.read(tmp_path / "l").values()] == [None]
    assert "cannot be read" in caplog.text


def test_a_ledger_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="choose another --ledger"):
        LedgerJournal(tmp_path)
