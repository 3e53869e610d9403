"""UDP sockets for udpsrc, opened here so that a busy port is found at once and said plainly."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from typing import Any

from ..errors import InputError, OutputError
from .elements import Gio

# Room for bursts: a sender's whole block of packets, or several 64 KB datagrams, while Python is busy
# elsewhere.
_RECEIVE_BUFFER = 1 << 20


def check_port(port: int) -> int:
    """The port, if it is one (0 lets the system choose when listening).

    Raises:
        ValueError: not in 0..65535.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be 0..65535, got {port!r}")
    return port


def listen(host: str, port: int) -> tuple[Any, int]:
    """A bound Gio.Socket and its port, without SO_REUSEADDR: two listeners on one port would share its
    packets.

    Joins the group when `host` is an IPv4 multicast address. The caller closes the socket.

    Raises:
        InputError: the host is unknown or not this machine's, or the port is in use or not allowed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f"cannot listen on '{host}': not an address or a known host name") from None
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind(address)
        ip = ipaddress.ip_address(address[0])
        if ip.version == 4 and ip.is_multicast:
            group = struct.pack("4sl", ip.packed, socket.INADDR_ANY)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} is in use; choose another or stop the program that has it") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"cannot listen on '{host}': it is not an address of this machine") from None
        if error.errno == errno.EACCES:
            raise InputError(f"port {port} needs privileges; choose one above 1023") from None
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    bound = int(sock.getsockname()[1])
    return Gio.Socket.new_from_fd(sock.detach()), bound


def resolve(host: str, port: int) -> str:
    """The numeric address to send to.

    Raises:
        OutputError: the host is unknown, or the port is 0.
    """
    if port == 0:
        raise OutputError(f"cannot send to '{host}': port 0 is not a destination")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError):
        raise OutputError(f"cannot send to '{host}': not an address or a known host name") from None
    return str(found[0][4][0])
