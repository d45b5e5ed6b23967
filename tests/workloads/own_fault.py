"""The child hangs by its own fault: it takes a lock twice that it has made itself, or waits for what
nobody does. The parent has left held locks in the memory that the child's come to lie in. Nothing
that was held at the fork is waited for: whatever the tracer says, not that.

own_fault.py lock|event [SECONDS]
"""
import os
import signal
import sys
import threading


def leave_held_locks():
    locks = [threading.Lock() for _ in range(500)]
    for lock in locks:
        lock.acquire()


def main():
    leave_held_locks()
    child = os.fork()
    if child == 0:
        # SIGALRM's default action ends the child, so that it does not stay behind.
        signal.alarm(int(sys.argv[2]) if len(sys.argv) > 2 else 4)
        os.write(1, f"stuck={os.getpid()}\n".encode())
        if sys.argv[1] == "lock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        else:
            threading.Event().wait()
        os._exit(98)
    os.waitpid(child, 0)


main()
