"""What Mosquitto keeps of a token: a PBKDF2 verifier, made when the token is issued, for only then is the token known.

The broker's dynamic-security plugin takes a verifier from its file at start, and from nowhere else.  So a broker can
be given every account anew, although nobody knows the tokens any more.
"""

import base64
import hashlib
import hmac
import secrets
from typing import NamedTuple, Self

SALT_BYTES = 12  # as Mosquitto's own
HASH_BYTES = 64  # SHA-512
# Mosquitto's own number.  Stretching makes guessing dear where people choose passwords; a token is 256 random bits,
# which nobody guesses at any price a try.  The broker has one thread, and pays for each round at each CONNECT.
ITERATIONS = 101


class Verifier(NamedTuple):
    """PBKDF2-HMAC-SHA512 of a token; hash and salt in base64, as Mosquitto's file has them."""

    password: str
    salt: str
    iterations: int

    @classmethod
    def of(cls, token: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> Self:
        """The verifier of a token, with a random salt; a few tenths of a millisecond."""
        salted = secrets.token_bytes(SALT_BYTES) if salt is None else salt
        made = hashlib.pbkdf2_hmac("sha512", token.encode(), salted, iterations, HASH_BYTES)
        return cls(base64.b64encode(made).decode(), base64.b64encode(salted).decode(), iterations)

    def fits(self, token: str) -> bool:
        """True when this is the token's; compared in constant time."""
        again = Verifier.of(token, salt=base64.b64decode(self.salt), iterations=self.iterations)
        return hmac.compare_digest(self.password.encode(), again.password.encode())
