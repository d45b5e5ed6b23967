"""A forked child that has nothing to do sleeps for ever, on purpose: it waits for an event that
nobody will ever set, until it is told to end by a signal. It can never go on, and the tracer says so,
but not for certain: a program may sleep like this.

sleeper.py [SECONDS]
"""
import os
import signal
import sys
import threading
import time

helper = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
helper.start()
child = os.fork()
if child == 0:
    os.write(1, f"stuck={os.getpid()}\n".encode())
    threading.Event().wait()
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4
time.sleep(max(seconds, float(os.environ.get("WORKLOAD_SECONDS", "0"))))
os.kill(child, signal.SIGTERM)
os.waitpid(child, 0)
os._exit(0)
