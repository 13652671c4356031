"""Where webhooks may lead: no address within a network of one's own can be reached through them. Pure."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def require_receiver(url: str, *, allow_private: bool) -> None:
    """Raise ValueError that says why a URL cannot be a receiver's. Where a name leads is seen when it is resolved."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError("only http and https are spoken")
    if not host or port == 0 or any(each.isspace() or not each.isprintable() for each in url):
        raise ValueError("not the URL of a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("a URL with a name, a password or a fragment: signatures show who sends")
    if not allow_private and is_literal(host) and not is_public(host):
        raise ValueError(f"{host} is not an address of the public internet")


def is_literal(host: str) -> bool:
    """Whether a host is an address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; what stands for an IPv4 address counts as that."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            found = inner
        elif found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast
