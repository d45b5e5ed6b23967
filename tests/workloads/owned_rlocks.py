"""Two threads of a forked child each have an RLock and want that of the other one, while a third thread
sleeps and wakes. An RLock names its owner, and nobody else can release it.

owned_rlocks.py abba|late [SECONDS]
  abba  they wait for each other
  late  they take the locks in the same order, and who has them keeps them for SECONDS
"""
import os
import signal
import sys
import threading
import time

how = sys.argv[1]
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 6
locks = threading.RLock(), threading.RLock()


def takes(first, second, before, keep):
    if how == "abba":
        print(f"also={os.getpid()} {threading.get_native_id()}", flush=True)
    time.sleep(before)
    with first:
        time.sleep(0.3)
        with second:
            time.sleep(keep)


print(f"forker={os.getpid()}\nlost=0", flush=True)
child = os.fork()
if child == 0:
    if how == "abba":
        # SIGALRM's default action ends the child, so that it does not stay behind.
        signal.alarm(int(seconds))
    print(f"{'stuck' if how == 'abba' else 'born'}={os.getpid()}", flush=True)
    one, two = locks
    turned = (two, one, 0, 0) if how == "abba" else (one, two, 0.5, 0)
    threads = [threading.Thread(target=takes, args=args) for args in ((one, two, 0, seconds), turned)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
