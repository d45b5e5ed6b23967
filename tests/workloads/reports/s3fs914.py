"""The mechanism of https://github.com/fsspec/s3fs/issues/914, with fsspec itself: a file system that was
opened before the fork is used in a worker. Its calls are run by a loop in a thread, which the worker does not
have; the worker looks once a second whether the call is done, for ever.
The tracer must say: lost-waker, likely: it polls.

s3fs914.py [SECONDS]
"""
import os

from common import forked, hang_at_most, seconds
from fsspec.asyn import get_loop, sync


async def size():
    return 7


def main():
    loop = get_loop()
    sync(loop, size)
    if os.fork() == 0:
        hang_at_most(seconds(16))
        sync(loop, size)  # hangs here
        os._exit(98)
    forked(1)
    os.wait()
    os._exit(0)


main()
