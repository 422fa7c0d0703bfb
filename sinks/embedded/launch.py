"""Launcher of the embedded server's programs: gives up root, ties the life to a parent, then becomes the program.

Run as a script (``python -I -S embedded_exec.py SPEC PROGRAM ARGS…``, SPEC a JSON object), so that nothing of it
happens between fork and exec of a process with threads. It uses the standard library only.

PostgreSQL refuses to run as uid 0. Below a folder that only root may enter (``/root``, pytest's base folder) an
unprivileged user reaches neither its data nor its binaries, and opening those folders to everybody is not ours to do.
The four ways, from the least privilege to the most:

``plain``     become the user, nothing else;
``search``    as well keep CAP_DAC_READ_SEARCH (enter and read any folder);
``override``  as well keep CAP_DAC_OVERRIDE (containers often lack the former);
``namespace`` stay the same account, seen by the program as uid 1000 of a user namespace of its own.

Exit status of the launcher itself: 125 (the program can't run like this), with one line on stderr.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence

WAYS = ("plain", "search", "override", "namespace")
"""The ways out of root, least privilege first."""

CANNOT_LAUNCH = 125
"""Exit status when the program could not be started in the way that was asked for."""

_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_PR_SET_PDEATHSIG = 1
_PR_GET_SECUREBITS = 27
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER = 0x10000000
_INNER_ID = 1000


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def _call(name: str, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _prctl(option: int, *arguments: int) -> int:
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _call("prctl", option, *(ctypes.c_ulong(value) for value in padded))


def _become(uid: int, gid: int, capability: int | None) -> None:
    """Switch to ``uid``/``gid`` for good and keep at most one capability, across exec too."""
    if capability is not None:
        # Without this bit access(2), by which PostgreSQL finds its programs, ignores capabilities of non-root users.
        _prctl(_PR_SET_SECUREBITS, _prctl(_PR_GET_SECUREBITS) | _SECBIT_NO_SETUID_FIXUP)
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability is not None:
        bits = 1 << capability
        data = (_CapData * 2)(_CapData(bits, bits, bits), _CapData(0, 0, 0))
        _call("capset", ctypes.byref(_CapHeader(_CAPABILITY_VERSION_3, 0)), data)
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _hide_root() -> None:
    """Enter a user namespace in which this account has an ordinary number."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_INNER_ID} {uid} 1"),
        ("gid_map", f"{_INNER_ID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def change_account(way: str, uid: int, gid: int) -> None:
    """Leave root in one of :data:`WAYS`; raises ``OSError`` when the kernel or the container refuses."""
    if way == "namespace":
        _hide_root()
    else:
        _become(uid, gid, {"plain": None, "search": _CAP_DAC_READ_SEARCH, "override": _CAP_DAC_OVERRIDE}[way])


def die_with(parent: int) -> None:
    """Have this process (and what it becomes) interrupted as soon as the thread that started it ends."""
    if sys.platform.startswith("linux"):
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
        if os.getppid() != parent:  # it ended before the request was made
            raise ProcessLookupError("the starting process is gone")


def main(arguments: Sequence[str]) -> int:
    """Become ``PROGRAM ARGS…`` as SPEC says; returns only when that fails.

    SPEC: ``way``, ``uid``, ``gid`` (no change if ``way`` is null), ``session`` (a new one if true), ``parent`` (process
    to die with, or null), ``probe`` (pairs of path and mode that the account must be able to access).
    """
    spec = json.loads(arguments[0])
    try:
        os.umask(0o077)
        if spec.get("way"):
            change_account(spec["way"], spec["uid"], spec["gid"])
        if spec.get("session"):
            os.setsid()
        if spec.get("parent"):
            die_with(spec["parent"])
        for path, mode in spec.get("probe", []):
            if not os.access(path, mode):
                raise PermissionError(f"{path}: permission denied")
        os.execv(arguments[1], list(arguments[1:]))
    except (OSError, AttributeError) as error:  # the latter: a C library without the call, as on macOS
        print(f"cannot run PostgreSQL ({spec.get('way') or 'same account'}): {error}", file=sys.stderr)
    return CANNOT_LAUNCH


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
