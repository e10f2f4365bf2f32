"""Whose address a request comes from: the other end of the connection, or whom a proxy that is trusted names.

Without this, behind a proxy everybody has one address, and one who guesses makes everybody wait.
"""

import ipaddress
from collections.abc import Sequence

from starlette.requests import HTTPConnection

from gateway.services import services_of

HOPS_MAX = 8  # proxies one behind the other; what lies further back anybody may have written


def address_of(connection: HTTPConnection) -> str:
    """The client's address as text; empty when there is none."""
    peer = connection.client.host if connection.client else ""
    proxies = services_of(connection).settings.gateway.trusted_proxies
    if not proxies:
        return peer
    named = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    return _behind(peer, [n.strip() for n in named[-HOPS_MAX:]], proxies)


def _behind(peer: str, named: Sequence[str], proxies: Sequence[str]) -> str:
    """Each proxy adds at the end whom it heard from: so the last one that is no proxy of ours is the client."""
    networks = [ipaddress.ip_network(proxy, strict=False) for proxy in proxies]
    client = peer
    for before in reversed(named):
        if not _is_in(client, networks) or _parsed(before) is None:
            break
        client = str(_parsed(before))  # in one spelling, and without what a zone may add
    return client


def _is_in(address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
