"""Forked Python processes that wait for what nobody can do any more.

shared_hangs.py HOW [SECONDS]
    lock, semaphore, condition, event, barrier
                of multiprocessing: who has it, or would tell, was killed
    queue       a worker was killed while it had the lock of a queue, by which it reads; another waits for it
    pool        the same of a multiprocessing.Pool
    circle      the child waits for a lock that a thread of the parent has, which waits for an answer of the
                child, while the first thread waits for the child
    join        a child puts more into a queue than its pipe holds, and ends only when that is read; the
                parent, who would read it, joins the child
    pipe        the child waits for the end of a pipe that it has open itself
    executor    the child gives a task to its copy of an executor, whose thread it does not have
    queue-get, queue-put, queue-join, condition-wait, barrier-wait, future
                the child waits for a thread that it does not have, by threading, queue or concurrent.futures
"""
import concurrent.futures
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time

how = sys.argv[1]
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 6
seconds = max(seconds, int(os.environ.get("WORKLOAD_SECONDS", "0")))
mp = multiprocessing.get_context("fork")
is_killed = False


def fact(name, value):
    os.write(1, f"{name}={value}\n".encode())


def child(body, hangs=True):
    """Forks; a child that hangs is ended by SIGALRM's default action, so that it does not stay behind."""
    pid = os.fork()
    if pid != 0:
        return pid
    if hangs:
        signal.alarm(seconds)
        fact("stuck", os.getpid())
    body()
    os._exit(98)


def forked(lost):
    fact("forker", os.getpid())
    fact("lost", lost)


def rest():
    while True:
        time.sleep(1)


def killed(take, wait):
    """The first child takes it and is killed; the second one waits for it."""
    def body():
        take()
        rest()

    forked(0)
    holder = child(body, hangs=False)
    time.sleep(0.4)
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    os.waitpid(child(wait), 0)


def by_killed():
    if how == "lock":
        lock = mp.Lock()
        killed(lock.acquire, lock.acquire)
    if how == "semaphore":
        semaphore = mp.Semaphore(1)
        killed(semaphore.acquire, semaphore.acquire)
    if how == "condition":
        condition = mp.Condition()

        def wait():
            with condition:
                condition.wait()

        killed(lambda: None, wait)
    if how == "event":
        event = mp.Event()
        killed(lambda: None, event.wait)
    if how == "barrier":
        barrier = mp.Barrier(2)
        killed(lambda: None, barrier.wait)


def reader_of(pids):
    """The one of them that reads a pipe, with the lock of the queue."""
    if not os.path.exists("/proc/self"):
        # A root folder of its own: one alone has it before long.
        time.sleep(1)
        return pids[0]
    while True:
        for pid in pids:
            with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
                if file.read().split()[0] == "0":
                    return pid
        time.sleep(0.05)


def of_queue():
    tasks = mp.Queue()

    def worker():
        tasks.get()

    forked(0)
    first = child(worker, hangs=False)
    reader_of([first])
    other = child(worker)
    time.sleep(0.4)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    # It has its task, but does not get at it.
    tasks._writer.send_bytes(b"x")
    os.waitpid(other, 0)


def begin_work():
    """In a worker: one that is made in place of the killed one hangs, too."""
    signal.alarm(seconds + 3)
    if is_killed:
        fact("stuck", os.getpid())


def end_of_pool(pool):
    time.sleep(seconds)
    pool._worker_handler._state = "TERMINATE"
    for worker in pool._pool:
        os.kill(worker.pid, signal.SIGKILL)
    os._exit(0)


def of_pool():
    global is_killed
    pool = mp.Pool(2, begin_work)
    forked(0)
    threading.Thread(target=end_of_pool, args=(pool,), daemon=True).start()
    pids = [worker.pid for worker in pool._pool]
    time.sleep(0.5)
    reader = reader_of(pids)
    pids.remove(reader)
    is_killed = True
    fact("stuck", pids[0])
    # The one that is made in its place loses the pool's threads and this one's.
    fact("lost", threading.active_count() - 1)
    os.kill(reader, signal.SIGKILL)
    pool.apply(int)


def circle():
    lock = mp.Lock()
    answer, answers = os.pipe()
    taken = threading.Event()

    def ask():
        with lock:
            taken.set()
            os.read(answer, 1)

    def body():
        os.close(answer)
        with lock:
            os.write(answers, b"x")

    threading.Thread(target=ask, daemon=True).start()
    taken.wait()
    forked(1)
    pid = child(body)
    os.close(answers)
    os.waitpid(pid, 0)
    os._exit(0)


def join():
    items = mp.Queue()

    def body():
        items.put(bytes(1 << 20))
        items.close()
        # The thread that writes hangs beside the one that joins it.
        fact("also", f"{os.getpid()} {items._thread.native_id}")
        items.join_thread()

    forked(0)
    os.waitpid(child(body), 0)
    os._exit(0)


def own_pipe():
    reader, writer = mp.Pipe(duplex=False)
    forked(0)
    pid = child(reader.recv_bytes)
    writer.close()
    reader.close()
    os.waitpid(pid, 0)


def serve(tasks, condition, barrier, future):
    """The thread that is lost: it never comes to do it."""
    time.sleep(3600)
    tasks.get()
    tasks.task_done()
    future.set_result(1)
    with condition:
        condition.notify_all()
    barrier.wait()


def lost():
    tasks, condition = queue.Queue(2), threading.Condition()
    barrier, future = threading.Barrier(2), concurrent.futures.Future()
    threading.Thread(target=serve, args=(tasks, condition, barrier, future), daemon=True).start()

    def wait_in_condition():
        with condition:
            condition.wait()

    def put():
        for item in range(3):
            tasks.put(item)

    def join_tasks():
        tasks.put(1)
        tasks.join()

    waits = {"queue-get": tasks.get, "queue-put": put, "queue-join": join_tasks, "future": future.result,
             "condition-wait": wait_in_condition, "barrier-wait": barrier.wait}
    forked(1)
    os.waitpid(child(waits[how]), 0)
    os._exit(0)


def of_executor():
    executor = concurrent.futures.ThreadPoolExecutor(1)
    executor.submit(int).result()
    forked(1)
    os.waitpid(child(lambda: executor.submit(int).result()), 0)
    os._exit(0)


cases = {"queue": of_queue, "pool": of_pool, "circle": circle, "join": join, "pipe": own_pipe,
         "executor": of_executor}
if how in ("lock", "semaphore", "condition", "event", "barrier"):
    by_killed()
else:
    cases.get(how, lost)()
