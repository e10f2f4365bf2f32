"""What can go wrong, and whether trying again can help.

    SensorlineError
    |- Permanent                    the same bytes will be refused again: set aside, never retried
    |  |- Malformed        400      not JSON, not UTF-8, a broken compressed frame
    |  |- Conflict         409      same (device, session, seq), other content
    |  |- TooLarge         413      over a size limit
    |  |- Unsupported      415      unknown content encoding or type
    |  |- Invalid          422      wrong shape or value; `path` says where
    |  |- NotFound         404
    |  `- Misconfigured    500      the operator must mend a setting; says which
    |- Hold                         right bytes, wrong credentials: keep them, raise the alarm
    |  |- Unauthorised     401
    |  `- Forbidden        403
    `- Retryable                    the same bytes may pass later; `retry_after_s` says when
       |- RateLimited      429
       |- LogUnavailable   503
       |- StoreUnavailable 503
       |- NotReady         503
       `- LogFull          507

Each class has a stable `code` (what a machine reads) and an HTTP status; messages say what, where and the mend.
"""

from typing import ClassVar


class SensorlineError(Exception):
    """Base of all errors that cross a boundary of ours."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, path: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.retry_after_s = retry_after_s


class Permanent(SensorlineError):
    """Trying the same again cannot help."""

    code = "permanent"


class Malformed(Permanent):
    """Not decodable at all."""

    code, status = "malformed", 400


class Conflict(Permanent):
    """The identity is taken by other content; the first is kept."""

    code, status = "conflict", 409


class TooLarge(Permanent):
    """Over a size limit."""

    code, status = "too_large", 413


class Unsupported(Permanent):
    """An encoding or content type that is not spoken here."""

    code, status = "unsupported", 415


class Invalid(Permanent):
    """Decodable, but a shape or a value is wrong; `path` says where."""

    code, status = "invalid", 422


class NotFound(Permanent):
    """No such thing."""

    code, status = "not_found", 404


class Misconfigured(Permanent):
    """A setting, a missing extra or a missing program; the message says which and how to mend it."""

    code, status = "misconfigured", 500


class Hold(SensorlineError):
    """The bytes are fine, the credentials are not: keep the bytes and raise the alarm."""

    code = "hold"


class Unauthorised(Hold):
    """No token, or one that is not known."""

    code, status = "unauthorised", 401


class Forbidden(Hold):
    """A known token that may not do this."""

    code, status = "forbidden", 403


class Retryable(SensorlineError):
    """The same may succeed later."""

    code, status, retryable = "retryable", 503, True


class RateLimited(Retryable):
    """Over a rate limit."""

    code, status = "rate_limited", 429


class NotReady(Retryable):
    """Not ready to serve yet, or no longer sure of what it knows."""

    code = "not_ready"


class LogUnavailable(Retryable):
    """The log did not acknowledge within the deadline."""

    code = "log_unavailable"


class LogFull(Retryable):
    """The log has no room left."""

    code, status = "log_full", 507


class StoreUnavailable(Retryable):
    """The store refused for a reason that is not the document's."""

    code = "store_unavailable"
