"""TCP ports for servers that are yet to start: the usual one where it is free, another where it is taken.

A server binds its port seconds after it was chosen, so the choice is reserved: this process binds the UDP port of the
same number and keeps it. That is in nobody's way, no other Onsite can do the same meanwhile, and the kernel undoes it
whatever ends this process.
"""

import random
import socket
from typing import Final

from infra.errors import CommandError

_FREE: Final = range(20_000, 32_000)
"""Where to look for a free one: below what systems give to outgoing connections, which could take it at any moment."""

_reservations: Final[list[socket.socket]] = []


def reserve(port: int, host: str = "127.0.0.1") -> bool:
    """Keep ``port`` for a server of this process, until this process ends. False when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reservation = socket.socket(family, socket.SOCK_DGRAM)
    try:
        reservation.bind((host, port))
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier server may linger
            probe.bind((host, port))
    except OSError:
        reservation.close()
        return False
    _reservations.append(reservation)
    return True


def reserve_free(host: str = "127.0.0.1") -> int:
    """Reserve any free port.

    Raises:
        CommandError: there is none.
    """
    for port in random.sample(_FREE, len(_FREE)):
        if reserve(port, host):
            return port
    raise CommandError(f"no port between {_FREE.start} and {_FREE.stop} can be had on {host}")


def is_listening(host: str, port: int) -> bool:
    """Does anything accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
