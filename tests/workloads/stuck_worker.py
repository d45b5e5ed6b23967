"""A lock of the parent is held while the workers of this or that pool are forked; a worker takes it
in its task and hangs. The tracer must say: inherited-lock, certain, at the line of the acquire().

stuck_worker.py HOW [SECONDS]
  HOW  thread: forked by another thread than the main one; pool: multiprocessing.Pool; executor:
       concurrent.futures; double: a daemon, forked twice; feeder: a Process that has put something
       into a multiprocessing.Queue, so that it has a thread that rests; siblings: three Processes; handlers: a
       Process that handles signals, as the workers of servers do; preexec: in the preexec_fn of a
       subprocess, before it executes the program
"""
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

how = sys.argv[1]
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 6
context = multiprocessing.get_context("fork")
lock = threading.Lock()


def work():
    # SIGALRM's default action ends the child, so that it does not stay behind.
    signal.alarm(seconds)
    print(f"stuck={os.getpid()}", flush=True)
    lock.acquire()  # hangs here
    os._exit(98)


def work_with_handlers():
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, lambda *_: sys.exit(1))
    signal.alarm(seconds)
    print(f"stuck={os.getpid()}", flush=True)
    with lock:
        os._exit(98)


def work_and_feed(results):
    results.put(1)
    time.sleep(0.3)
    work()


def fork_once():
    child = os.fork()
    if child == 0:
        work()
    os.waitpid(child, 0)


def fork_twice():
    middle = os.fork()
    if middle == 0:
        print(f"forker={os.getpid()}\nlost=0", flush=True)
        if os.fork() == 0:
            os.setsid()
            work()
        os._exit(0)
    os.waitpid(middle, 0)
    time.sleep(seconds)


def run_processes(count, target=work, args=()):
    children = [context.Process(target=target, args=args) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def run_pool():
    # The pool's own threads start after its workers.
    pool = context.Pool(1)
    pool.apply_async(work)
    # A worker that died is replaced, and its task is lost.
    time.sleep(seconds + 1)
    pool.terminate()


def run_executor():
    executor = concurrent.futures.ProcessPoolExecutor(1, mp_context=context)
    # It fails when the worker has died.
    executor.submit(work).exception()
    executor.shutdown()


def main():
    lock.acquire()
    if how != "double":
        print(f"forker={os.getpid()}\nlost={int(how == 'thread')}", flush=True)
    if how == "thread":
        forker = threading.Thread(target=fork_once)
        forker.start()
        forker.join()
    elif how == "pool":
        run_pool()
    elif how == "executor":
        run_executor()
    elif how == "double":
        fork_twice()
    elif how == "feeder":
        run_processes(1, work_and_feed, (context.Queue(),))
    elif how == "preexec":
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.Popen(["true"], preexec_fn=work)
    elif how == "handlers":
        run_processes(1, work_with_handlers)
    else:
        run_processes(3)


if __name__ == "__main__":
    main()
