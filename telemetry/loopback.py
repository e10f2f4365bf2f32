"""Whether an address is this machine's own: where a secret may go in the clear, and where no phone can follow.  Pure.

A name is not looked up: only `localhost` is known to stay here (RFC 6761, 6.3), whatever else a resolver may answer.
"""

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """True for `localhost` and for addresses of loopback, of IPv6 also in brackets or with an IPv4 one inside."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        return (address.ipv4_mapped or address).is_loopback
    return address.is_loopback and not bracketed


def is_loopback_url(url: str) -> bool:
    """The same of a URL's host; False where it has none."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return is_loopback(host or "")
