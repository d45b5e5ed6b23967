"""A lock that is held at the fork, and that somebody alive in the child has, and will give back: one
of the child's threads waits for it beside others that live. The tracer may suspect something, and
must not say more.

held_in_child.py heir_with|heir_by_hand|heir_by_hand_alone|atfork_with|atfork_by_hand|atfork_helper|
                 remade_with|remade_by_hand|remade_helper [SECONDS]

heir_*      the forking thread has it, and its heir gives it back after a while
atfork_*    a handler gives it back in the child at once; later a thread of the child has it
remade_*    other threads have locks; the child makes new ones in their place, and so the new locks
            get the old ones' memory; later a thread of the child has one of them
"""
import os
import select
import sys
import threading
import time

LOCKS = 8
kept = []


class Guard:
    """A lock that is taken and given back in different functions."""

    def __init__(self):
        self.lock = threading.Lock()

    def enter(self):
        self.lock.acquire()

    def leave(self):
        self.lock.release()


def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        select.select([], [], [], 0.05)


def want(guard):
    with guard.lock:
        pass


def have_with(guard, told):
    with guard.lock:
        told.set()
        work(seconds)


def have_by_hand(guard, told):
    guard.lock.acquire()
    told.set()
    work(seconds)
    guard.lock.release()


def have_helper(guard, told):
    guard.enter()
    told.set()
    work(seconds)
    guard.leave()


def beside(guard):
    """Threads of the child: one that lives, one that waits."""
    threading.Thread(target=work, args=(seconds + 1,), daemon=True).start()
    waiter = threading.Thread(target=want, args=(guard,))
    waiter.start()
    return waiter


def legitimate(guard, how):
    told = threading.Event()
    have = {"with": have_with, "by_hand": have_by_hand, "helper": have_helper}[how]
    holder = threading.Thread(target=have, args=(guard, told))
    holder.start()
    told.wait()
    waiter = beside(guard)
    holder.join()
    waiter.join()


def heir(mode):
    guard = Guard()
    kept.append(guard)

    def child():
        waiter = beside(guard)
        work(seconds)
        return waiter

    if mode == "with":
        with guard.lock:
            pid = os.fork()
            waiter = child() if pid == 0 else None
    else:
        guard.enter()
        pid = os.fork()
        if pid == 0:
            waiter = child()
            guard.leave()
        elif mode == "by_hand":
            guard.leave()
    if pid == 0:
        waiter.join()
        os._exit(0)
    return pid


def atfork(mode):
    guard = Guard()
    os.register_at_fork(
        before=guard.enter, after_in_parent=guard.leave, after_in_child=guard.leave
    )
    pid = os.fork()
    if pid == 0:
        legitimate(guard, mode)
        os._exit(0)
    return pid


def remade(mode):
    guards = [Guard() for _ in range(LOCKS)]
    stop = threading.Event()

    def hold(guard, told):
        # Not in a with block: a lost thread's frame would keep the lock object.
        guard.enter()
        told.set()
        stop.wait()
        guard.leave()

    for guard in guards:
        told = threading.Event()
        threading.Thread(target=hold, args=(guard, told)).start()
        told.wait()

    def remake():
        for guard in guards:
            guard.lock = threading.Lock()

    os.register_at_fork(after_in_child=remake)
    old = {id(guard.lock) for guard in guards}
    pid = os.fork()
    if pid == 0:
        again = [guard for guard in guards if id(guard.lock) in old]
        print(f"again={len(again)}", flush=True)
        legitimate(again[0] if again else guards[0], mode)
        os._exit(0)
    time.sleep(0.1)
    stop.set()
    return pid


what, mode = sys.argv[1].split("_", 1)
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3
pid = {"heir": heir, "atfork": atfork, "remade": remade}[what](mode)
sys.exit(os.waitpid(pid, 0)[1])
