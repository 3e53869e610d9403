"""What a process that touches hostile bytes may use. Set in that process, before it looks at them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9


def set_limits(*, memory: int, cpu_seconds: int, file_bytes: int, more_files: int) -> None:
    """Bound this process for good.

    Args:
        memory: bytes of address space, what is mapped already included.
        cpu_seconds: then the kernel kills it.
        file_bytes: size of the largest file it can write.
        more_files: descriptors it may open beyond the highest that is open now.
    """
    highest = max((int(name) for name in os.listdir("/proc/self/fd")), default=2)
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, highest + 1 + more_files),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def leave_network() -> bool:
    """Move this process, while it has one thread, to a network namespace without any interface that is up.

    Returns:
        False where the kernel or a container's policy does not let an ordinary process do so.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(AttributeError, OSError):
        # The user namespace is what gives an ordinary user the right to the other.
        for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET):
            if ctypes.CDLL(None, use_errno=True).unshare(flags) == 0:
                return True
    return False


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
