"""The gateway's side of downloadable settings, in the `devices` topic: what is wanted of a device, what it reports.

    wants/<device>/<version>/<nonce>   {enrolment, version, changes, at_ns}   highest version, then lowest offset holds
    reported/<device>                  {enrolment, in_force, failed, reason, at_ns}

Two gateways may race for a version: a key each, so that compaction keeps both until the next version, and one holds
for every reader.  A gateway whose view is a moment behind may hand out the version before once more; the edge then
takes it, reports it, and gets the newer one.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import orjson

from telemetry.batch import check_name
from telemetry.clock import Clock
from telemetry.errors import Conflict, NotFound, SensorlineError
from telemetry.pen import Pen, gone, record
from telemetry.ports import DEVICES, Entry, Log
from telemetry.registry import Holder, Registry
from telemetry.remote_settings import NO_CHANGES, VERSION_MAX, Changes, Report, Versioned

logger = logging.getLogger(__name__)

CACHED_MAX = 20_000  # devices that sent lately, about 1 KiB each
REPORT_PERIOD_S = 10.0  # a device's reports reach the topic no oftener, whatever it says
REPORT_WAIT_S = 2.0  # a receipt waits no longer for a report to be kept


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants in force; version 0: nothing, the edge's own file holds."""

    settings: Versioned = NO_CHANGES
    at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """What a device said last, and when it began to say so."""

    report: Report
    at_ns: int


@dataclass(slots=True)
class _Known:
    """Of one device: read off the registry's copy of `version`; when a report was last kept (monotonic)."""

    enrolment: str
    version: int
    wanted: Wanted
    reported: Reported | None
    kept_s: float | None = None


class DeviceSettings:
    """One gateway's pen and eyes for the settings of its devices.  A look-up for a batch is one in a dictionary."""

    def __init__(self, log: Log, registry: Registry, clock: Clock, *, wait_s: float = 10.0) -> None:
        self._log = log
        self._registry = registry
        self._clock = clock
        self._pen = Pen(log, registry, clock, wait_s=wait_s)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    # --- operators

    async def change(self, device: str, changes: Changes) -> Wanted:
        """Want these from now on, under the next version; empty changes give the edge its own file back.

        Raises `NotFound`, `Conflict` (another change at the same moment) and `LogUnavailable`.
        """
        async with self._pen.one_at_a_time:
            enrolment = await self._enrolment(device)
            before = self._entries(device, enrolment)
            version = max((_version(e) for e in before), default=0) + 1
            if version > VERSION_MAX:
                raise Conflict(f"{device} had its last version: enrol it anew", path="$")
            key = f"wants/{device}/{version:010d}/{secrets.token_hex(8)}"
            value = {"enrolment": enrolment, "version": version, "changes": changes.given}
            await self._pen.append([record(key, value | {"at_ns": self._clock.now_ns()})])
            now = self._entries(device, enrolment)
            if not now or now[0].key != key:
                await self._pen.append(gone([key]))
                raise Conflict(f"the settings of {device} were changed at the same moment: look, and try again")
            if now[1:]:
                await self._pen.append(gone([e.key for e in now[1:]]))
            return _wanted(now[0])

    async def of(self, device: str) -> tuple[Wanted, Reported | None]:
        """What is wanted and what was last reported; raises `NotFound`."""
        check_name(device, "$.device")
        found = self._registry.device(device)
        if found is None:
            raise NotFound(f"there is no device {device[:64]}")
        known = self._look(device, found.enrolment)
        return known.wanted, known.reported

    # --- devices

    async def heard(self, holder: Holder, text: str | None) -> dict[str, Any] | None:
        """Note what an edge reports beside its batch; the settings to hand down in its receipt, or None.

        Who reports nothing (an app, an edge over MQTT 3.1.1) is handed nothing.  Raises nothing: a report that could
        not be kept comes again with the next batch.
        """
        report = Report.parse(text)
        if report is None:
            return None
        try:
            known = self._look(holder.device, holder.enrolment)
        except SensorlineError as e:  # of a record that another version wrote: no reason to refuse readings
            logger.error("the settings of %s cannot be read: %s", holder.device, e)  # noqa: TRY400 - says it all
            return None
        if known.reported is None or known.reported.report != report:
            await self._keep(holder, known, report)
        wanted = known.wanted.settings
        return None if wanted.version in (report.in_force, report.failed) else wanted.document

    async def _keep(self, holder: Holder, known: _Known, report: Report) -> None:
        now_s = self._clock.monotonic_s()
        if known.kept_s is not None and now_s - known.kept_s < REPORT_PERIOD_S:
            return
        known.kept_s = now_s
        value = {"enrolment": holder.enrolment, **report.model_dump(), "at_ns": self._clock.now_ns()}
        try:
            async with asyncio.timeout(REPORT_WAIT_S):
                await self._log.append(DEVICES, [record(f"reported/{holder.device}", value)])
        except (SensorlineError, TimeoutError) as e:
            logger.warning("the settings that %s reports could not be kept: %s", holder.device, e)

    # --- reading records

    def _look(self, device: str, enrolment: str) -> _Known:
        """From the cache while the registry stays as it is."""
        known = self._known.get(device)
        if known is not None and known.version == self._registry.version and known.enrolment == enrolment:
            self._known.move_to_end(device)
            return known
        entries = self._entries(device, enrolment)
        made = _Known(
            enrolment,
            self._registry.version,
            _wanted(entries[0]) if entries else Wanted(),
            _reported(self._registry.entry(f"reported/{device}"), enrolment),
            known.kept_s if known else None,
        )
        self._known[device] = made
        self._known.move_to_end(device)
        if len(self._known) > CACHED_MAX:
            self._known.popitem(last=False)
        return made

    def _entries(self, device: str, enrolment: str) -> list[Entry]:
        """What was wanted under this enrolment, what holds first."""
        found = [e for e in self._registry.entries(f"wants/{device}/") if _value(e)["enrolment"] == enrolment]
        return sorted(found, key=lambda e: (-_version(e), e.offset))

    async def _enrolment(self, device: str) -> str:
        check_name(device, "$.device")
        await self._pen.sync()
        found = self._registry.device(device)
        if found is None:
            raise NotFound(f"there is no device {device[:64]}")
        return found.enrolment


def _value(entry: Entry) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(entry.value or b"{}")
    return value


def _version(entry: Entry) -> int:
    return int(_value(entry)["version"])


def _wanted(entry: Entry) -> Wanted:
    value = _value(entry)
    return Wanted(Versioned.parse({"version": value["version"], **value["changes"]}), value["at_ns"])


def _reported(entry: Entry | None, enrolment: str) -> Reported | None:
    value = _value(entry) if entry is not None else {}
    if value.get("enrolment") != enrolment:
        return None
    return Reported(Report(in_force=value["in_force"], failed=value["failed"], reason=value["reason"]), value["at_ns"])
