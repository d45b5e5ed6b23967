"""The mechanism of https://github.com/ActiveCampaign/postmark-python/pull/8: a package runs an asyncio loop in
a thread of its own and offers ordinary functions on top of it. In a worker that was forked afterwards, the
coroutine is handed to the loop, which nobody runs, and result() waits for ever.
The tracer must say: lost-waker, likely or better.

postmark8.py [SECONDS]
"""
import asyncio
import os
import threading

from common import forked, hang_at_most

loop = asyncio.new_event_loop()


async def send(mail):
    return len(mail)


def send_now(mail):
    return asyncio.run_coroutine_threadsafe(send(mail), loop).result()  # hangs here


def main():
    threading.Thread(target=loop.run_forever, name="postman", daemon=True).start()
    send_now("to whom it may concern")
    if os.fork() == 0:
        hang_at_most()
        send_now("from a worker")
        os._exit(98)
    forked(1)
    os.wait()
    os._exit(0)


main()
