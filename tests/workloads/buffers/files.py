"""Text in a buffer of a Python file when the process forks: `files.py WHICH HOW`.

In the end the program counts how often the text is in the file, and says so: `times=2`.
"""

import os
import signal
import sys
import tempfile
import time

WHICH, HOW = sys.argv[1:]
TEXT = "written before the fork"
SAID = os.dup(1)


def say(name, value):
    os.write(SAID, f"{name}={value}\n".encode())


def opened(path):
    match WHICH:
        case "stdout":
            os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), 1)
            # As Python makes it, whatever PYTHONUNBUFFERED says.
            sys.stdout = open(1, "w", closefd=False)
            return sys.stdout
        case "binary":
            return open(path, "wb")
        case "unbuffered":
            return open(path, "wb", buffering=0)
    return open(path, "w", buffering=1 if HOW == "lines" else -1)


def put(file, text):
    file.write(text.encode() if "b" in getattr(file, "mode", "w") else text)


def child(file):
    match HOW:
        case "leaves":
            os._exit(0)
        case "leaves-late":
            time.sleep(0.6)
            os._exit(0)
        case "prints-leaves":
            put(file, " and by the child")
            os._exit(0)
        case "exits-late":
            time.sleep(0.6)
        case "adds":
            put(file, " and by the child")
        case "adds-lives":
            put(file, " and by the child")
            time.sleep(2.5)
        case "flushes":
            file.flush()
            os._exit(0)
        case "execs":
            os.execv("/bin/true", ["true"])
        case "killed":
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        case "child-only":
            put(file, TEXT)
    sys.exit(0)


def main():
    place, path = tempfile.mkstemp(prefix="forktrace-files-")
    file = opened(path)
    if HOW not in ("empty", "child-only"):
        put(file, TEXT)
    if HOW == "lines":
        put(file, "\n")
    if HOW in ("flushed", "flushed-exits"):
        file.flush()
    if HOW == "closed":
        file.close()
    if HOW == "multiprocessing":
        # Not where it is not needed: at its end Python writes to all of its memory.
        import multiprocessing

        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.3,))
        worker.start()
        worker.join()
    else:
        pids = []
        for _ in range(3 if HOW == "many" else 1):
            pid = os.fork()
            if pid == 0:
                child(file)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)
    # Longer than it takes to search what a child left, on a busy machine too.
    time.sleep(1.5)
    if HOW != "closed":
        file.flush()
    say("times", os.pread(place, 1 << 16, 0).decode().count(TEXT))
    os.unlink(path)


main()
