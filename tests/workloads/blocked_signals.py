"""Signals that workers of a Python program have blocked since their fork. Argument: what they do."""

import multiprocessing
import os
import signal
import sys
import threading
import time

TERM = {signal.SIGTERM}


def told(pid):
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    time.sleep(6.5)
    os.kill(pid, signal.SIGKILL)


def process_of_thread():
    """A thread that leaves signals to the main thread starts a process."""

    def run():
        signal.pthread_sigmask(signal.SIG_BLOCK, TERM)
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        process.start()
        print(f"stuck={process.pid}", flush=True)
        told(process.pid)
        process.join()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def handler_never_runs():
    """A graceful worker: its handler does not run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pthread_sigmask(signal.SIG_BLOCK, TERM)
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    print(f"stuck={pid}", flush=True)
    told(pid)
    os.waitpid(pid, 0)


def restored():
    """The worker begins with a mask of its own, as gunicorn's and uWSGI's do."""
    signal.pthread_sigmask(signal.SIG_BLOCK, TERM)
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        time.sleep(60)
        os._exit(0)
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)


def waits_for_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, TERM)
    pid = os.fork()
    if pid == 0:
        while signal.sigtimedwait(TERM, 0.5) is None:
            pass
        os._exit(0)
    time.sleep(5)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)


globals()[sys.argv[1]]()
