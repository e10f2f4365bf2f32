"""Bearer tokens: 256 random bits that are shown once; what is kept is their SHA-256."""

import base64
import hashlib
import hmac
import secrets
from typing import NamedTuple

DEVICE_PREFIX = "sl_"
OPERATOR_PREFIX = "slk_"
SECRET_BYTES = 32
TOKEN_CHARS_MAX = 128  # longer ones are not even hashed
ID_CHARS = 12


class Credential(NamedTuple):
    """A new secret and what may be kept of it."""

    secret: str
    digest: str


def new_credential(prefix: str = DEVICE_PREFIX) -> Credential:
    """A secret from the system's generator: prefix and 43 characters of base64url."""
    text = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    return Credential(prefix + text, digest(prefix + text))


def digest(secret: str) -> str:
    """SHA-256, 64 hex digits.  No salt and no stretching: the secret has 256 bits of its own."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def public_id(kept: str) -> str:
    """A token's id, to name it by in lists and logs: the first digits of its digest tell nothing of the secret."""
    return kept[:ID_CHARS]
