"""What consumers that write into the store share: nothing of a deleted device gets in, and letters for what cannot."""

from collections.abc import Awaitable, Callable, Iterable

from consumers.letters import letter
from telemetry.clock import Clock
from telemetry.outcome import Reason
from telemetry.ports import Entry, Log, Record, Store

IsDeleted = Callable[[str, int], bool]
Received = tuple[str, int]  # a device, and when its record was received


class IntoStore:
    """`is_deleted(device, received_ns)` says whether a record belongs to a deleted device, as of the last `refresh`;
    it is asked before and after a write, so that a deletion during the write wins."""

    def __init__(
        self, log: Log, store: Store, clock: Clock, is_deleted: IsDeleted, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._is_deleted = is_deleted
        self._refresh = refresh

    async def _sweep(self, written: Iterable[Received]) -> None:
        """A device that was deleted while its records were being written: remove them."""
        await self._refresh()
        for device in {device for device, received_ns in written if self._is_deleted(device, received_ns)}:
            await self._store.delete_device(device)

    def _letter(self, entry: Entry, reason: Reason, detail: str) -> Record:
        return letter(entry, reason, detail, self._clock.now_ns())
