"""How often passwords may be guessed: by one address, by all together, and for one name.  Pure: the caller brings the
time.

What slows a guesser down must not lock the owner out.  So the limits of a name and of all together do not hold where
that name logged in of late; from elsewhere its owner waits `NAME_WAIT_S_MAX` at most for the name, and for all
together until the guessing has paused.  Each gateway counts for itself.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from gateway.tries import WINDOW_S, Tries, Try, site_of
from telemetry.errors import RateLimited

NAME_FREE = 10  # wrong tries for a name in the window, from wherever, until each must wait for the next
NAME_WAIT_S_MAX = 30.0
NAMES_MAX = 1_000  # more than can have a wrong try in the window
KNOWN_MAX = 1_000  # places from which somebody logged in
WORDS = "too many wrong passwords: wait"


@dataclass(slots=True)
class _Name:
    wrong_s: deque[float] = field(default_factory=deque)  # when, the latest last


class LoginTries:
    """Wrong tries of late; bounded."""

    def __init__(self) -> None:
        self._tries = Tries(WORDS)
        self._names: OrderedDict[str, _Name] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, address: str, name: str, now_s: float) -> "LoginTry":
        """Count one; raises `RateLimited` when there were too many."""
        place = (site_of(address), name)
        known = place in self._known
        kept = self._names.get(name) or _Name()
        _forget_old(kept.wrong_s, now_s)
        if not known:
            _check_name(kept.wrong_s, now_s)
        tried = self._tries.begin(address, now_s, everybody=not known)
        kept.wrong_s.append(now_s)
        self._names[name] = kept
        self._names.move_to_end(name)
        if len(self._names) > NAMES_MAX:
            self._names.popitem(last=False)
        return LoginTry(self, tried, kept.wrong_s, place, now_s)

    def remember(self, place: tuple[str, str]) -> None:
        """Somebody logged in there."""
        self._known[place] = None
        self._known.move_to_end(place)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class LoginTry:
    """One try, counted as wrong until it is taken back."""

    _all: LoginTries
    _tried: Try
    _name_s: deque[float]
    _place: tuple[str, str]
    _at_s: float

    def was_right(self) -> None:
        """It was the password."""
        self.take_back()
        self._all.remember(self._place)

    def take_back(self) -> None:
        """It was no wrong try."""
        self._tried.take_back()
        if self._at_s in self._name_s:
            self._name_s.remove(self._at_s)


def _forget_old(wrong_s: deque[float], now_s: float) -> None:
    while wrong_s and now_s - wrong_s[0] >= WINDOW_S:
        wrong_s.popleft()


def _check_name(wrong_s: deque[float], now_s: float) -> None:
    """After the free ones, 1, 2, 4 ... seconds between two tries; only tries that were looked at count."""
    over = len(wrong_s) - NAME_FREE
    if over < 0:
        return
    wait_s = min(2.0 ** min(over, 10), NAME_WAIT_S_MAX)
    left_s = wrong_s[-1] + wait_s - now_s
    if left_s > 0:
        raise RateLimited(WORDS, retry_after_s=left_s)
