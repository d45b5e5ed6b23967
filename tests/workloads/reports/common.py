"""What the programs in Python share. Facts for the test are lines `name=number` on stdout, each in one
write, so that lines of several processes do not mix.
"""
import os
import signal
import sys
import time


def fact(name, value):
    os.write(1, f"{name}={value}\n".encode())


def seconds(otherwise=6):
    """How long a hang lasts: the last argument, a number; at least WORKLOAD_SECONDS."""
    said = int(sys.argv[-1]) if sys.argv[-1].isdigit() else otherwise
    return max(said, int(os.environ.get("WORKLOAD_SECONDS", "0")))


def hang_at_most(limit=None):
    """In a child that hangs: the default action of SIGALRM ends it, so that it does not stay behind."""
    signal.alarm(limit or seconds())
    fact("stuck", os.getpid())


def forked(lost):
    """In the parent: who has forked, and how many of its threads were not copied."""
    fact("forker", os.getpid())
    fact("lost", lost)


def others():
    """How many threads this process has beside this one."""
    return len(os.listdir("/proc/self/task")) - 1


def run_until_killed(main):
    """Runs main() in a child, so that it may wait without timeouts and without an end: another child kills it
    and all that it has started.
    """
    program = os.fork()
    if program == 0:
        os.setpgid(0, 0)
        main()
        os._exit(97)
    killer = os.fork()
    if killer == 0:
        time.sleep(seconds() + 1)
        os.killpg(program, signal.SIGKILL)
        os._exit(0)
    os.waitpid(program, 0)
    os.waitpid(killer, 0)


def until(is_so):
    while not is_so():
        time.sleep(0.02)
