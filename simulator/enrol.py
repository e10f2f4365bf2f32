"""Tokens for a fleet: from a file, or issued by the gateway to whoever holds an operator's key."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson

from simulator.api import Api
from telemetry.errors import Conflict, Malformed

AT_ONCE_MAX = 4


async def enrol(api: Api, names: Sequence[str]) -> dict[str, str]:
    """A token for each device: enrolled, or rotated when it is enrolled already."""
    slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(name: str) -> str:
        async with slots:
            try:
                issued = await api.post("/v1/devices", {"device": name})
            except Conflict:
                issued = await api.post(f"/v1/devices/{name}/rotate", {"overlap_s": 3600.0})
            token: str = issued["token"]
            return token

    tokens = await asyncio.gather(*map(one, names))
    return dict(zip(names, tokens, strict=True))


def read_tokens(path: Path) -> dict[str, str]:
    """Device -> token from JSON lines {"device", "token"}; raises `Malformed`."""
    tokens = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
            tokens[str(entry["device"])] = str(entry["token"])
        except (ValueError, KeyError, TypeError) as e:
            raise Malformed(f'{path} line {number} is not {{"device", "token"}}: {e!r}') from e
    return tokens
