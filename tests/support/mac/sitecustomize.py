"""Takes away what a Mac has not, as far as Python can tell: every process started with this on its
PYTHONPATH does without.
"""

import fcntl
import os
import select
import selectors
import signal
import socket
import sys
import time
import types

MISSING = {
    fcntl: "F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS F_OFD_SETLK",
    os: "eventfd eventfd_read eventfd_write EFD_CLOEXEC EFD_NONBLOCK fdatasync getrandom getresuid"
    " memfd_create O_DIRECT O_PATH O_TMPFILE pidfd_open pipe2 posix_fadvise posix_fallocate"
    " sched_getaffinity sched_setaffinity sched_setscheduler setresuid splice copy_file_range",
    select: "epoll EPOLLIN EPOLLOUT EPOLLET EPOLLERR EPOLLHUP",
    signal: "SIGPOLL SIGPWR SIGRTMAX SIGRTMIN SIGSTKFLT sigtimedwait sigwaitinfo",
    socket: "AF_NETLINK AF_PACKET SO_BINDTODEVICE SO_DOMAIN SO_MARK SO_PEERCRED SO_PROTOCOL"
    " SOCK_CLOEXEC SOCK_NONBLOCK TCP_CORK TCP_DEFER_ACCEPT TCP_QUICKACK TCP_USER_TIMEOUT",
    time: "CLOCK_BOOTTIME CLOCK_TAI pthread_getcpuclockid",
}


def without_proc(event: str, args: tuple[object, ...]) -> None:
    """Refuse to open what only Linux has."""
    if event == "open" and str(args[0]).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", str(args[0]))


for module, names in MISSING.items():
    for name in names.split():
        vars(module).pop(name, None)
# Chosen already where something was quicker than we are; kqueue cannot be had on Linux.
selectors.DefaultSelector = selectors.PollSelector  # type: ignore[misc,assignment]
for name in ("gpiod", "lgpio", "RPi"):
    sys.modules[name] = None  # type: ignore[assignment]
# What `urllib.request` asks on a Mac.
proxies = types.ModuleType("_scproxy")
vars(proxies).update(_get_proxy_settings=dict, _get_proxies=dict)
sys.modules["_scproxy"] = proxies
sys.platform = "darwin"
sys.addaudithook(without_proc)
