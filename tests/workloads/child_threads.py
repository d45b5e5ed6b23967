"""A forked child with threads of its own that wait for each other as in any program; every wait ends
after a while. The tracer must not say more than that it suspects something.

child_threads.py WHAT [SECONDS]
  WHAT  executor: a ThreadPoolExecutor at rest, then used; queue: a worker waits for jobs; simple: the
        same by a SimpleQueue; condition: waits for a change; join: for a thread; asyncio: for a
        function in a thread; listener: logging by a QueueListener; subprocess: for a program;
        import: a slow import in a thread, while another wants the module too
"""
import asyncio
import concurrent.futures
import logging.handlers
import multiprocessing
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

what = sys.argv[1]
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3


def use_executor():
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        assert list(executor.map(abs, [-1, -2, -3])) == [1, 2, 3]
        time.sleep(seconds)
        executor.submit(time.sleep, seconds).result()


def use_queue(jobs):
    threading.Timer(seconds, jobs.put, (1,)).start()
    jobs.get()


def use_condition():
    condition = threading.Condition()

    def change():
        with condition:
            condition.notify_all()

    threading.Timer(seconds, change).start()
    with condition:
        condition.wait()


def use_join():
    thread = threading.Thread(target=time.sleep, args=(seconds,))
    thread.start()
    thread.join()


async def use_asyncio():
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, seconds)


def use_listener():
    records = queue.Queue()
    listener = logging.handlers.QueueListener(records, logging.NullHandler())
    listener.start()
    logging.getLogger().addHandler(logging.handlers.QueueHandler(records))
    logging.warning("before a pause")
    time.sleep(seconds)
    logging.warning("after it")
    listener.stop()


def use_import():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "slow_module.py"), "w") as module:
            module.write(f"import time\ntime.sleep({seconds})\n")
        sys.path.insert(0, folder)
        threading.Thread(target=__import__, args=("slow_module",)).start()
        while "slow_module" not in sys.modules:
            time.sleep(0.01)
        import slow_module  # noqa: F401


def work():
    if what == "executor":
        use_executor()
    elif what == "queue":
        use_queue(queue.Queue())
    elif what == "simple":
        use_queue(queue.SimpleQueue())
    elif what == "condition":
        use_condition()
    elif what == "join":
        use_join()
    elif what == "asyncio":
        asyncio.run(use_asyncio())
    elif what == "listener":
        use_listener()
    elif what == "import":
        use_import()
    else:
        subprocess.run(["sleep", str(seconds)], check=True)


if __name__ == "__main__":
    # Locks that were made and thrown away before the fork: their memory is used again.
    for _ in range(100):
        threading.Thread(target=time.sleep, args=(0,)).start()
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    sys.exit(child.exitcode)
