"""Parent and child wait for each other by what multiprocessing offers; every wait ends after a while.
The tracer must say nothing: what they wait for is shared.

shared_things.py WHAT [SECONDS]
  WHAT  Queue | JoinableQueue | SimpleQueue | Pipe | Event | Barrier | Semaphore | Condition | Value |
        Manager
"""
import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")
what = sys.argv[1]
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3


def make():
    if what == "Pipe":
        return context.Pipe()
    if what == "Manager":
        return context.Manager().Event()
    if what == "Barrier":
        return context.Barrier(2)
    if what == "Value":
        return context.Value("i")
    if what == "Semaphore":
        return context.Semaphore(0)
    return getattr(context, what)()


def child_waits(thing):
    if what.endswith("Queue"):
        thing.get()
    if what == "JoinableQueue":
        thing.task_done()
    if what == "Pipe":
        thing[1].recv()
    if what in ("Event", "Manager", "Barrier"):
        thing.wait()
    if what == "Semaphore":
        thing.acquire()
    if what == "Condition":
        with thing:
            thing.wait()
    if what == "Value":
        with thing.get_lock():
            thing.value = 1


def parent_ends_it(thing):
    if what.endswith("Queue"):
        thing.put(1)
    if what == "JoinableQueue":
        thing.join()
    if what == "Pipe":
        thing[0].send(1)
    if what in ("Event", "Manager"):
        thing.set()
    if what == "Barrier":
        thing.wait()
    if what == "Semaphore":
        thing.release()
    if what == "Condition":
        with thing:
            thing.notify()


def main():
    thing = make()
    child = context.Process(target=child_waits, args=(thing,))
    if what == "Value":
        with thing.get_lock():
            child.start()
            time.sleep(seconds)
    else:
        child.start()
        time.sleep(seconds)
    parent_ends_it(thing)
    child.join()
    sys.exit(child.exitcode)


if __name__ == "__main__":
    main()
