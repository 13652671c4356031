"""TCP ports: the usual one where it is free, another where it is taken."""

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def port_or_free(wanted: int, host: str = "127.0.0.1") -> int:
    """``wanted`` where it can be bound, else a free port; 0 asks for a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            return free_port(host)
        port: int = probe.getsockname()[1]
        return port


def is_listening(host: str, port: int) -> bool:
    """Does anything accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
