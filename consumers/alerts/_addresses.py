"""Which addresses a webhook may reach: public ones, and those networks that the settings list.

A name is resolved once, and the connection goes to the address that was checked: a name that answers differently the
next time leads nowhere else.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import TypeAlias

from telemetry.errors import Permanent, Retryable

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# They carry an IPv4 address inside, which may be a private one: NAT64, 6to4, Teredo, IPv4-compatible.
_WRAPPED = [
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
]


class AddressRefused(Permanent):
    """The host's address is not one that may be reached."""

    code = "address_refused"


class HostUnknown(Retryable):
    """The name cannot be resolved now."""

    code = "host_unknown"


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Public, or listed."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in networks):
        return True
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return not any(address in network for network in _WRAPPED)


async def checked(host: str, port: int, networks: Sequence[Network]) -> Address:
    """An address of the host that may be reached; raises `AddressRefused` or `HostUnknown`."""
    try:
        return _first_allowed(host, [ipaddress.ip_address(host)], networks)
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise HostUnknown(f"{host} cannot be resolved: {e}") from e
    return _first_allowed(
        host, [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found], networks
    )


def _first_allowed(host: str, found: Sequence[Address], networks: Sequence[Network]) -> Address:
    for address in found:
        if is_allowed(address, networks):
            return address
    raise AddressRefused(f"{host} has no address that is public or listed in `networks`")
