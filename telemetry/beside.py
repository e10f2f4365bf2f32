"""What travels beside a batch and is never part of it: when it went out, and what its sender knows of its clock.

The bytes of a batch never change, so what is learned later goes beside them: as HTTP headers, as MQTT 5 user
properties of the same names, and in the log as record headers.  All of it is optional and none of it is trusted for
anything but annotation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

SENT = "sensorline-sent"
SYNCHRONISED = "sensorline-synchronised"
CORRECTION = "sensorline-correction"
SETTINGS = "sensorline-settings"
HEADERS = (SENT, SYNCHRONISED, CORRECTION, SETTINGS)
TEXT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Beside:
    """Optional words of a sender on one batch.

    `sent_ns`: its clock when this copy went out, if that is the clock that stamped the batch.  `synchronised`:
    whether that clock had been set (NTP, GPS) when it stamped the batch.  `correction_ns`: what must be added to the
    batch's times, as far as the sender knows by now.  `settings`: the version of the downloaded settings in force,
    as "7" or, where a newer one failed, "7 failed=8 <reason>".
    """

    sent_ns: int | None = None
    synchronised: bool | None = None
    correction_ns: int | None = None
    settings: str | None = None

    def to_headers(self) -> dict[str, str]:
        """As header texts, lower-case names; what is None is absent."""
        texts = {
            SENT: None if self.sent_ns is None else str(self.sent_ns),
            SYNCHRONISED: None if self.synchronised is None else str(int(self.synchronised)),
            CORRECTION: None if self.correction_ns is None else str(self.correction_ns),
            SETTINGS: self.settings,
        }
        return {name: text for name, text in texts.items() if text is not None}

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> Self:
        """Read back; a value that makes no sense is as if it were absent: nobody's reading depends on it."""
        flag = headers.get(SYNCHRONISED)
        settings = headers.get(SETTINGS)
        return cls(
            _integer(headers.get(SENT)),
            flag == "1" if flag in ("0", "1") else None,
            _integer(headers.get(CORRECTION)),
            settings[:TEXT_CHARS_MAX] if settings else None,
        )


NOTHING = Beside()


def _integer(text: str | None) -> int | None:
    if text is None or len(text) > 20:
        return None
    try:
        value = int(text)
    except ValueError:
        return None
    return value if -(2**63) <= value < 2**63 else None
