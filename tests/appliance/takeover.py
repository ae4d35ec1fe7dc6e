"""Makes a running process do a system call, as somebody would who has taken it over: whatever refuses then are the walls
that this very process has built and stands behind. Runs in the box, as root.

    takeover.py PID open PATH FLAGS      prints "done" or the error's name
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

ATTACH, DETACH, STEP, GETREGS, SETREGS = 16, 17, 9, 12, 13
OPEN = 2
# struct user_regs_struct of x86-64.
NAMES = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"
).split()


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in NAMES]


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def trace(request: int, pid: int, data=None) -> None:
    if libc.ptrace(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")


def opened(pid: int, path: bytes, flags: int) -> int:
    """The result of open(path, flags) in the main thread of that process, which waits in a system call."""
    trace(ATTACH, pid)
    os.waitpid(pid, 0)
    before = Registers()
    try:
        trace(GETREGS, pid, ctypes.byref(before))
        after = Registers.from_buffer_copy(before)
        # Behind the red zone of the stack; the instruction that it waits in is a system call, and serves again.
        place = before.rsp - 1024
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(before.rip - 2)
            assert memory.read(2) == b"\x0f\x05", "it does not wait in a system call"
            memory.seek(place)
            memory.write(path + b"\0")
        after.rip, after.rax, after.orig_rax = before.rip - 2, OPEN, 2**64 - 1
        after.rdi, after.rsi, after.rdx = place, flags, 0
        trace(SETREGS, pid, ctypes.byref(after))
        trace(STEP, pid)
        os.waitpid(pid, 0)
        trace(GETREGS, pid, ctypes.byref(after))
        trace(SETREGS, pid, ctypes.byref(before))
        return ctypes.c_longlong(after.rax).value
    finally:
        trace(DETACH, pid)


if __name__ == "__main__":
    result = opened(int(sys.argv[1]), sys.argv[3].encode(), int(sys.argv[4]))
    print("done" if result >= 0 else errno.errorcode[-result])
