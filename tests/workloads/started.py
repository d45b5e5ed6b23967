"""The program of the hang with a start method that copies no memory: its lock is a new one, and
free. Afterwards a thread of the child keeps it while another waits. The tracer must say nothing.

started.py spawn|forkserver [SECONDS]
"""
import multiprocessing
import sys
import threading
import time

lock = threading.Lock()


def hold(seconds, held):
    with lock:
        held.set()
        time.sleep(seconds)


def work(seconds):
    held = threading.Event()
    threading.Thread(target=hold, args=(seconds, held)).start()
    held.wait()
    with lock:
        pass


if __name__ == "__main__":
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(seconds,))
    lock.acquire()
    child.start()
    lock.release()
    child.join()
    sys.exit(child.exitcode)
