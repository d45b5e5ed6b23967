"""The documented right way of the libraries of the reports beside this file: nothing hangs, and nothing may be
said.

healthy.py tqdm|fsspec|confluent|grpc|zmq|executor|queue|subprocess
"""
import asyncio
import concurrent.futures
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
import time

from common import fact

# Longer than the time from which on a wait counts as long.
LONG = 2


def child(work):
    pid = os.fork()
    if pid == 0:
        fact("born", os.getpid())
        work()
        os._exit(0)
    return pid


def in_tqdm():
    """The bars of all processes share a lock that the parent made, which tqdm's documentation asks for."""
    from tqdm import tqdm

    context = multiprocessing.get_context("fork")
    tqdm.set_lock(context.RLock())
    with context.Pool(2, initializer=tqdm.set_lock, initargs=(tqdm.get_lock(),)) as pool:
        pool.map(count, range(2))


def count(place):
    from tqdm import tqdm

    for _ in tqdm(range(10), position=place, disable=None):
        time.sleep(LONG / 10)


def in_fsspec():
    """A loop for each process: fsspec makes a new one in the child."""
    from fsspec.asyn import get_loop, sync

    sync(get_loop(), asyncio.sleep, 0)
    child(lambda: sync(get_loop(), asyncio.sleep, LONG))


def in_confluent():
    """A producer for each process, made after the fork. It gives up its message, as nobody takes it."""
    from confluent_kafka import Producer

    def produce():
        nobody = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "message.timeout.ms": LONG * 1000}
        producer = Producer(nobody)
        producer.produce("topic", b"message")
        producer.flush()

    child(produce)


def in_zmq():
    """A context for each process, made after the fork."""
    import zmq

    parents = zmq.Context()
    parents.socket(zmq.PUB).bind_to_random_port("tcp://127.0.0.1")

    def talk():
        context = zmq.Context()
        server, client = context.socket(zmq.REP), context.socket(zmq.REQ)
        client.connect("tcp://127.0.0.1:%d" % server.bind_to_random_port("tcp://127.0.0.1"))
        threading.Timer(LONG, lambda: client.send(b"late")).start()
        server.recv()

    child(talk)


def in_grpc():
    """A channel for each process, made after the fork."""
    import grpc

    def call():
        with grpc.insecure_channel("127.0.0.1:1") as channel:
            try:
                channel.unary_unary("/a/b")(b"", timeout=LONG, wait_for_ready=True)
            except grpc.RpcError:
                pass

    child(call)


def in_executor():
    """The threads of an executor are started where it is first used: in the child."""
    pool = concurrent.futures.ThreadPoolExecutor(2)
    child(lambda: pool.submit(time.sleep, LONG).result())


def in_queue():
    """A client that has a new queue and a new thread in the child, by os.register_at_fork()."""
    events = None

    def start():
        nonlocal events
        events = queue.Queue()

        def send():
            while events.get() is not None:
                time.sleep(LONG)
                events.task_done()

        threading.Thread(target=send, name="sender", daemon=True).start()

    start()
    os.register_at_fork(after_in_child=start)

    def flush():
        events.put("event")
        events.join()

    child(flush)


def in_subprocess():
    """communicate() reads both pipes, and a daemon that lets go of them ends the wait."""
    daemon = "import os; os.fork() == 0 and (os.close(1), os.close(2), __import__('time').sleep(2))"
    command = [sys.executable, "-SE", "-c", f"import os; os.write(2, bytes(1 << 20)); {daemon}"]
    subprocess.run(command, capture_output=True, check=True)


def main():
    globals()["in_" + sys.argv[1]]()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


main()
