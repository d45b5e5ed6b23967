"""The mechanism of https://github.com/Bogdanp/dramatiq/pull/707: a process that collects the output of the
workers reads their pipes to the end. It was forked with a write end of its own, which it never closes: when
all workers have gone, it reads on for ever.
The tracer must say: held-open, the descriptor in the reader itself.

dramatiq707.py [SECONDS]
"""
import multiprocessing
import os

from common import forked, hang_at_most


def watch(pipes):
    hang_at_most()
    for reading in pipes:
        while os.read(reading, 4096):
            pass


def work(writing):
    os.write(writing, b"a line of log\n")


def main():
    context = multiprocessing.get_context("fork")
    reading, writing = os.pipe()
    worker = context.Process(target=work, args=(writing,))
    worker.start()
    watcher = context.Process(target=watch, args=([reading],))
    watcher.start()
    os.close(writing)
    forked(0)
    worker.join()
    watcher.join()


main()
