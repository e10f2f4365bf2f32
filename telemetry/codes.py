"""Enrolment codes: a person carries eight characters to a device, and the device gets its token for them, once.

A code is good for ten minutes and for one use, whichever gateway it reaches: uses are claims by key in the `devices`
topic, of which the lowest offset holds.  Only its SHA-256 is kept.  It has 40 bits, so it must not be guessed at
leisure: `gateway.tries` bounds the tries.
"""

import secrets
from typing import NamedTuple

from telemetry import credentials
from telemetry.errors import NotFound, RateLimited
from telemetry.pen import Pen, gone, record
from telemetry.ports import Record

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32: no I, L, O (read as 1, 1, 0), and no U
LOOK_ALIKES = str.maketrans("ILO", "110", "- ")
CHARS = 8  # 40 bits
LIFE_S = 600.0
CODES_MAX = 256  # good at one time: each is one more that a guess may hit


class Code(NamedTuple):
    """A new code, shown this once."""

    device: str
    code: str
    expires_ns: int


def new_code() -> str:
    """Eight random characters, with a dash for the eye."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(CHARS))
    return f"{drawn[: CHARS // 2]}-{drawn[CHARS // 2 :]}"


def normalised(text: str) -> str:
    """As it was drawn, however it was typed: case, dashes and look-alikes do not matter."""
    return text.upper().translate(LOOK_ALIKES)


def digest(text: str) -> str:
    """What is kept of a code."""
    return credentials.digest(normalised(text))


class Codes:
    """Makes codes, and claims them."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._registry = pen.registry

    async def make(self, device: str) -> Code:
        """A code for a device, which need not exist yet; raises `RateLimited` when too many wait for their use."""
        now_ns = self._pen.clock.now_ns()
        live, dead = self._by_life(now_ns)
        if len(live) >= CODES_MAX:
            wait_s = (min(live.values()) - now_ns) / 1e9
            raise RateLimited(f"{CODES_MAX} codes wait to be used: use them, or wait", retry_after_s=wait_s)
        made = new_code()
        expires_ns = now_ns + round(LIFE_S * 1e9)
        value = {"device": device, "created_ns": now_ns, "expires_ns": expires_ns}
        await self._pen.append([record(f"code/{digest(made)}", value), *self._removed(dead)])
        return Code(device, made, expires_ns)

    def device_of(self, code: str) -> str:
        """Whom it would enrol; raises `NotFound`, which does not tell wrong, used and expired apart."""
        kept = self._registry.value(f"code/{digest(code)}")
        if kept is None or kept["expires_ns"] <= self._pen.clock.now_ns():
            raise _no_good()
        return str(kept["device"])

    async def claim(self, code: str) -> str:
        """Use it up; its device.  Raises `NotFound`, also when another use was first.

        Who has won removes the code, and only then the claims: a use that read the code before finds it gone when
        it reads its own claim back.
        """
        device = self.device_of(code)
        hashed = digest(code)
        key = f"redeem/{hashed}/{secrets.token_hex(8)}"
        await self._pen.append([record(key, {"at_ns": self._pen.clock.now_ns()})])
        winner = self._registry.first(f"redeem/{hashed}/")
        if winner is None or winner.key != key or self._registry.value(f"code/{hashed}") is None:
            await self._pen.append(gone([key]))
            raise _no_good()
        await self._pen.append(self._removed([hashed]))
        return device

    def removal_for(self, device: str) -> list[Record]:
        """What ends the codes of a device that is deleted or revoked."""
        found = [
            e.key for e in self._registry.entries("code/") if (self._registry.value(e.key) or {})["device"] == device
        ]
        return gone(found)

    def _removed(self, hashes: list[str]) -> list[Record]:
        claims = [e.key for hashed in hashes for e in self._registry.entries(f"redeem/{hashed}/")]
        return gone([*(f"code/{hashed}" for hashed in hashes), *claims])

    def _by_life(self, now_ns: int) -> tuple[dict[str, int], list[str]]:
        live: dict[str, int] = {}
        dead: list[str] = []
        for entry in self._registry.entries("code/"):
            hashed = entry.key.removeprefix("code/")
            expires_ns = int((self._registry.value(entry.key) or {"expires_ns": 0})["expires_ns"])
            if expires_ns > now_ns:
                live[hashed] = expires_ns
            else:
                dead.append(hashed)
        return live, dead


def _no_good() -> NotFound:
    return NotFound("this code is no good: wrong, used, or over ten minutes old; ask for a new one", path="$.code")
