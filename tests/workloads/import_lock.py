"""A thread of the parent is in the middle of an import when the main thread forks; the child imports
the same module and hangs. The import lock is a note in free memory, and the word that the child waits on
was free at the fork: that a lock was held cannot be shown, but nobody is left who could wake it.

import_lock.py [SECONDS]
"""
import os
import signal
import sys
import tempfile
import threading
import time

with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "slow_module.py"), "w") as module:
        module.write("import time\ntime.sleep(1)\n")
    sys.path.insert(0, folder)
    importer = threading.Thread(target=__import__, args=("slow_module",))
    importer.start()
    while "slow_module" not in sys.modules:
        time.sleep(0.01)
    print(f"forker={os.getpid()}", "lost=1", sep="\n", flush=True)
    child = os.fork()
    if child == 0:
        # SIGALRM's default action ends the child, so that it does not stay behind.
        signal.alarm(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
        print(f"stuck={os.getpid()}", flush=True)
        import slow_module  # noqa: F401  # hangs here
        os._exit(98)
    importer.join()
    os.waitpid(child, 0)
