"""People's passwords: made, judged, and kept as argon2id hashes (RFC 9106, the low-memory parameters).

One hash takes 64 MiB and some 100 ms of CPU, on purpose: at most `AT_ONCE` run, in threads of their own, and few wait.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from telemetry.codes import ALPHABET
from telemetry.errors import Invalid, RateLimited

AT_ONCE = 2
WAITING_MAX = 16
WAIT_S = 10.0
CHARS_MIN = 12  # NIST SP 800-63B-4 asks for 15 where there is no limit on tries; here there are several
CHARS_MAX = 256
DIFFERENT_MIN = 5  # characters: refuses 111111111111 and ababababababab
GROUPS, GROUP_CHARS = 4, 5  # of 5 bits each: 100 bits

T = TypeVar("T")


def new_password() -> str:
    """A random password that can be read aloud and typed on a phone: 100 bits, no look-alikes."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_CHARS)) for _ in range(GROUPS))
    return "-".join(groups).lower()


def check_password(name: str, password: str, path: str) -> None:
    """Raises `Invalid` for one that is short, long, or guessed at once; there are no other rules."""
    text = _normalised(password)
    if not CHARS_MIN <= len(text) <= CHARS_MAX:
        raise Invalid(f"a password has {CHARS_MIN} to {CHARS_MAX} characters; a few words are fine", path=path)
    if len(set(text)) < DIFFERENT_MIN:
        raise Invalid(f"a password has at least {DIFFERENT_MIN} different characters", path=path)
    without_name = text.lower().replace(name.lower(), "").replace("sensorline", "")
    if len(without_name) < CHARS_MIN // 2:
        raise Invalid("this password is little more than the person's or the program's name", path=path)


class Passwords:
    """Hashes and verifies; the hash is a PHC string, which carries its parameters."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of it; raises `RateLimited` when too many wait."""
        return await self._run(lambda: self._hasher.hash(_normalised(password)))

    async def is_right(self, kept: str | None, password: str) -> bool:
        """Whether this is the password of that hash.  Takes as long for None, which nothing fits.

        Raises `RateLimited` when too many wait.
        """
        if self._decoy is None:  # before the name matters: the first login takes longer, whoever it is
            self._decoy = await self.hash(secrets.token_hex())
        fits = await self._run(lambda: self._fits(kept or self._decoy or "", password))
        return fits and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """True when it was made with other parameters than are usual now."""
        return self._hasher.check_needs_rehash(kept)

    def _fits(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _normalised(password))
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX + AT_ONCE:
            raise RateLimited("too many people log in at this moment: try again", retry_after_s=1.0)
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(self._done)
        try:
            async with asyncio.timeout(WAIT_S):
                return await running
        except TimeoutError:
            raise RateLimited("this machine is too busy to check a password: try again", retry_after_s=5.0) from None

    def _done(self, _: object) -> None:
        self._waiting -= 1


def _normalised(password: str) -> str:
    """The same text whichever keyboard it was typed on (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
