"""Forked Python processes that wait, and whose waits all end: somebody who lives ends them, or they are at
rest until they are told to stop.

shared_rests.py HOW [SECONDS]
    lock, semaphore, condition, event, barrier
                of multiprocessing: the parent gives it back, or tells, after SECONDS
    stop-event  the child waits for an event that its handler of SIGTERM sets
    heartbeat   it does something every second until SIGTERM stops it
    heartbeat-idle
                the same, but it does nothing
    pool        a multiprocessing.Pool at rest, whose parent sleeps
    pool-input  the same, whose parent waits for input
    pool-main   the same, whose parent's first thread waits for a thread that sleeps
    executor    a ProcessPoolExecutor at rest
    feeder      a child whose queue has a feeder thread at rest, and the parent reads late
    run, communicate, shell
                subprocess.run, Popen.communicate, a pipeline of sh, which take SECONDS
    asyncio     a child with an event loop and a timer
    prefork     workers read tasks from a pipe each; the parent tells them to stop
    threads     a child waits for its own thread, and that for its own timer
"""
import asyncio
import concurrent.futures
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time

how = sys.argv[1]
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
mp = multiprocessing.get_context("fork")


def child(body):
    pid = os.fork()
    if pid == 0:
        body()
        os._exit(0)
    return pid


def late(wait, tell):
    pid = child(wait)
    time.sleep(seconds)
    tell()
    os.waitpid(pid, 0)


def by_parent():
    if how in ("lock", "semaphore"):
        lock = mp.Lock() if how == "lock" else mp.Semaphore(1)
        lock.acquire()
        late(lock.acquire, lock.release)
    if how == "condition":
        condition = mp.Condition()

        def wait():
            with condition:
                condition.wait()

        def tell():
            with condition:
                condition.notify()

        late(wait, tell)
    if how == "event":
        event = mp.Event()
        late(event.wait, event.set)
    if how == "barrier":
        barrier = mp.Barrier(2)
        late(barrier.wait, barrier.wait)


def until_term(body):
    """The child has a handler of SIGTERM that sets an event."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=time.sleep, args=(seconds + 1,), daemon=True).start()
    pid = child(lambda: body(stop))
    time.sleep(seconds)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)


def beat(stop):
    while not stop.wait(1):
        if how == "heartbeat":
            with open("/proc/self/stat", encoding="ascii") as file:
                file.read()


def of_pool():
    with mp.Pool(3) as pool:
        pool.map(abs, range(6))
        if how == "pool-input":
            select.select([sys.stdin], [], [], seconds)
        elif how == "pool-main":
            sleeper = threading.Thread(target=time.sleep, args=(seconds,))
            sleeper.start()
            sleeper.join()
        else:
            time.sleep(seconds)
        pool.close()
        pool.join()


def of_executor():
    with concurrent.futures.ProcessPoolExecutor(3, mp) as executor:
        list(executor.map(abs, range(6)))
        time.sleep(seconds)


def feeder():
    items, go = mp.Queue(), mp.Event()

    def body():
        items.put(1)
        go.wait()
        items.close()
        items.join_thread()

    pid = child(body)
    items.get()
    time.sleep(seconds)
    go.set()
    os.waitpid(pid, 0)


def of_subprocess():
    def body():
        if how == "run":
            subprocess.run(["sleep", str(seconds)], check=True)
        elif how == "communicate":
            command = ["sh", "-c", f"cat; sleep {seconds}; echo end"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                process.communicate(b"x" * 100000)
        else:
            subprocess.run(f"sleep {seconds} | cat | (cat; sleep 1)", shell=True, check=True)

    os.waitpid(child(body), 0)


def of_asyncio():
    async def main():
        await asyncio.gather(asyncio.sleep(seconds), asyncio.to_thread(time.sleep, 1))

    os.waitpid(child(lambda: asyncio.run(main())), 0)


def prefork():
    ends, pids = [], []
    for _ in range(3):
        reader, writer = os.pipe()

        def body(reader=reader, writer=writer):
            # Those of the others it has, too, as many servers do.
            os.close(writer)
            while os.read(reader, 1) == b"t":
                pass

        pids.append(child(body))
        os.close(reader)
        ends.append(writer)
    for writer in ends:
        os.write(writer, b"t")
    time.sleep(seconds)
    for writer in ends:
        os.write(writer, b"q")
    for pid in pids:
        os.waitpid(pid, 0)


def threads():
    def body():
        done = threading.Event()
        threading.Timer(seconds, done.set).start()
        waiter = threading.Thread(target=done.wait)
        waiter.start()
        waiter.join()

    os.waitpid(child(body), 0)


cases = {"executor": of_executor, "feeder": feeder, "asyncio": of_asyncio, "prefork": prefork,
         "threads": threads, "stop-event": lambda: until_term(lambda stop: stop.wait())}
if how in ("lock", "semaphore", "condition", "event", "barrier"):
    by_parent()
elif how.startswith("heartbeat"):
    until_term(beat)
elif how.startswith("pool"):
    of_pool()
else:
    cases.get(how, of_subprocess)()
