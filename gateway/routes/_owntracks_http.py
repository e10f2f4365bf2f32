"""How OwnTracks wants to be answered over HTTP, so that it neither loses readings nor sends what is refused for ever.

What the apps do with a status (their sources):

    2xx      both take the message off their queue; the body is a JSON array of messages for the app, here always []
    4xx      iOS tells its user and takes the message off; Android keeps it at the head of its queue and sends it
             again, for ever, with everything else waiting behind it
    others   both keep the message and send it again

So here

    what passes (429, 503, 507)          is 503: a 429 would make iOS throw readings away
    credentials (401, 403), and an       are as they are: iOS tells its user; Android keeps all, shows the status, and
    encrypted message (415)              goes on where it stopped once the password or the key is mended
    a message that is wrong (400,        is as it is, but for Android: it is answered 200 with [] and the header
    409, 413, 422)                       Sensorline-Error, for it would block its queue.  It is refused all the same:
                                         logged with its path and, once its body was read, counted
                                         (`sensorline_batches_refused_total`)
    no body at all                       is 200: the apps send that when a friend is removed
"""

import base64
import logging
from collections.abc import Mapping

from gateway import problems
from gateway.routes._answer import Answer
from telemetry.errors import Hold, SensorlineError, Unsupported

logger = logging.getLogger(__name__)

NOTHING_TO_SAY = Answer(200, b"[]")
_ANDROID = b"owntracks-android/"
_PASSING = 503
_HEADER_CHARS_MAX = 4_096


def as_bearer(header: str | None) -> str | None:
    """`Basic` with the token as password as if it were `Bearer`; anything else as it is.  Its user may be any."""
    scheme, _, packed = (header or "").strip().partition(" ")
    if scheme.lower() != "basic" or len(packed) > _HEADER_CHARS_MAX:
        return header
    try:
        said = base64.b64decode(packed.strip(), validate=True)
    except ValueError:  # no base64, or not even ASCII
        return header
    _, colon, password = said.decode("latin-1").partition(":")  # as Android encodes its user; a token is ASCII anyway
    return f"Bearer {password}" if colon else header


def refuse(error: SensorlineError, headers: Mapping[bytes, bytes]) -> Answer:
    """See above."""
    if error.retryable:
        return _problem(error, _PASSING)
    is_android = headers.get(b"user-agent", b"").lower().startswith(_ANDROID)
    if not is_android or isinstance(error, Hold | Unsupported):
        return _problem(error, error.status)
    logger.warning("an OwnTracks message is refused: %s (%s)", error.message, error.path)
    return Answer(200, b"[]", headers={"Sensorline-Error": error.code})


def _problem(error: SensorlineError, status: int) -> Answer:
    retry_after_s = problems.retry_after_s(error)
    body = problems.document(status, error.code, error.message, path=error.path, retry_after_s=retry_after_s)
    headers = problems.headers_of(error)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="sensorline", charset="UTF-8", Bearer'
    return Answer(status, body, problems.MEDIA_TYPE.encode(), headers)
