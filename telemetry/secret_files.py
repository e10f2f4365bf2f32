"""Secrets that an adapter's settings keep in a file, where a variable would show them to whoever lists processes."""

from pathlib import Path

from pydantic import SecretStr

from telemetry.errors import Misconfigured

SECRET_BYTES_MAX = 64 * 1024


def secret_of(value: SecretStr | None, file: str | Path | None, what: str) -> str | None:
    """The secret itself, or what the first line of `file` holds; None where neither is given.

    Raises `Misconfigured`, naming the setting `what` and never the secret.
    """
    if value is not None:
        return value.get_secret_value()
    if not file:
        return None
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(SECRET_BYTES_MAX).decode().strip()
    except (OSError, UnicodeDecodeError) as e:
        raise Misconfigured(f"setting {what}: {type(e).__name__} at {file}", path=what) from e
    if not text or "\n" in text:
        raise Misconfigured(f"setting {what}: {file} must hold one line", path=what)
    return text
