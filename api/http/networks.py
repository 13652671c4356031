"""Whom an address stands for."""

import ipaddress


def network_of(address: str) -> str:
    """An address; of IPv6 the network that one customer has. What is none stands for itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
