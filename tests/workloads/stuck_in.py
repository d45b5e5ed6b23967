"""A background thread is inside of this or that object of Python's own library when the main thread
forks; the child uses the object and hangs on the lock in it.
The tracer must say: inherited-lock, certain, at the line of the child's own call.

stuck_in.py queue|event|executor|buffer [SECONDS]
"""
import concurrent.futures
import io
import os
import queue
import signal
import sys
import threading
import time

held = threading.Event()


class SlowFile(io.RawIOBase):
    """A file that takes its time to write, as a pipe does that nobody reads from."""

    def writable(self):
        return True

    def write(self, data):
        held.set()
        time.sleep(60)
        return len(data)


def hold(lock):
    with lock:
        held.set()
        time.sleep(60)


def write_slowly(file):
    file.write(b"x" * 100000)


def prepare(what):
    """What the child does, and what the thread does meanwhile."""
    if what == "queue":
        jobs = queue.Queue()
        return jobs.put_nowait, (0,), hold, (jobs.mutex,)
    if what == "event":
        event = threading.Event()
        return event.set, (), hold, (event._cond,)
    if what == "executor":
        executor = concurrent.futures.ThreadPoolExecutor(1)
        return executor.submit, (abs, 1), hold, (executor._shutdown_lock,)
    file = io.BufferedWriter(SlowFile())
    return file.write, (b"x",), write_slowly, (file,)


use, use_args, body, body_args = prepare(sys.argv[1])
threading.Thread(target=body, args=body_args, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    # SIGALRM's default action ends the child, so that it does not stay behind.
    signal.alarm(int(sys.argv[2]) if len(sys.argv) > 2 else 6)
    print(f"stuck={os.getpid()}", flush=True)
    use(*use_args)  # hangs here
    os._exit(98)
print(f"forker={os.getpid()}\nlost=1", flush=True)
os.waitpid(child, 0)
os._exit(0)
