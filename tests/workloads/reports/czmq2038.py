"""The mechanism of https://github.com/zeromq/czmq/issues/2038, with libzmq itself: a socket has been used
before the fork, and the child sends a request on it. libzmq's thread, which would send it, is not there. The
library sees that the process is another one, and says that its wait was interrupted; the caller tries again
at once, for ever.
The tracer must say: at least that the child is busy since its fork.

czmq2038.py [SECONDS]
"""
import os

import zmq

from common import forked, hang_at_most, others


def main():
    context = zmq.Context()
    server, client = context.socket(zmq.REP), context.socket(zmq.REQ)
    client.connect("tcp://127.0.0.1:%d" % server.bind_to_random_port("tcp://127.0.0.1"))
    client.send(b"from the parent")
    server.send(server.recv())
    client.recv()
    lost = others()
    if os.fork() == 0:
        hang_at_most()
        client.send(b"from the child")
        client.recv()
        os._exit(98)
    forked(lost)
    os.wait()
    os._exit(0)


main()
