"""How often a secret may be guessed: by one address, and by all together.  Pure: the caller brings the time.

An enrolment code has 40 bits and lives ten minutes.  `EVERYBODY_MAX` wrong tries in each ten minutes, all year, against
`CODES_MAX` waiting codes hit one with a chance of about 1 in 270; against the one code that is usual, 1 in 70,000.
Each gateway counts for itself.
"""

import ipaddress
from collections import OrderedDict, deque

from telemetry.errors import RateLimited

WINDOW_S = 600.0
ADDRESS_MAX = 5  # wrong tries; the sixth is not even looked at
EVERYBODY_MAX = 300
ADDRESSES_MAX = 1_000  # remembered; more than can have a wrong try in the window
IPV6_SITE_BITS = 64  # whoever has one such address has all of them


class Try:
    """One try, counted as wrong until it is taken back: tries that run at once cannot pass together."""

    def __init__(self, counts: list[deque[float]], at_s: float) -> None:
        self._counts = counts
        self._at_s = at_s

    def take_back(self) -> None:
        """It was no wrong try."""
        for count in self._counts:
            if self._at_s in count:
                count.remove(self._at_s)


class Tries:
    """Wrong tries of late, by address; bounded."""

    def __init__(self, words: str = "too many codes that were no good: wait") -> None:
        self._words = words  # of the refusal
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._everybody: deque[float] = deque()

    def begin(self, address: str, now_s: float, *, everybody: bool = True) -> Try:
        """Count one; raises `RateLimited` when there were too many.  Without `everybody` only the address counts."""
        site = site_of(address)
        own = self._by_address.get(site) or deque()
        counts = [(own, ADDRESS_MAX), (self._everybody, EVERYBODY_MAX)][: 2 if everybody else 1]
        for count, limit in counts:
            while count and now_s - count[0] >= WINDOW_S:
                count.popleft()
            if len(count) >= limit:
                raise RateLimited(self._words, retry_after_s=count[0] + WINDOW_S - now_s)
        for count, _ in counts:
            count.append(now_s)
        self._by_address[site] = own
        self._by_address.move_to_end(site)
        if len(self._by_address) > ADDRESSES_MAX:
            self._by_address.popitem(last=False)
        return Try([count for count, _ in counts], now_s)


def site_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the 64 bits of IPv6 that one subscriber has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_SITE_BITS), strict=False))
