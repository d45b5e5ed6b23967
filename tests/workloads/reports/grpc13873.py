"""The mechanism of https://github.com/grpc/grpc/issues/13873, with gRPC itself: a channel has been used before
the fork, and a forked child uses it again.
The tracer must say: a hang, likely.

grpc13873.py [SECONDS]
"""
import os
import signal
from concurrent import futures

from common import forked, hang_at_most, others, seconds

# With it gRPC closes the channel in the child, and the call fails at once.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
import grpc  # noqa: E402

METHOD = "/fork.Test/Echo"


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


def main():
    reading, writing = os.pipe()
    servers = os.fork()
    if servers == 0:
        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Echo()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        os.write(writing, b"%d" % port)
        server.wait_for_termination(seconds(16) + 2)
        os._exit(0)
    port = os.read(reading, 16).decode()
    channel = grpc.insecure_channel("127.0.0.1:" + port)
    echo = channel.unary_unary(METHOD)
    echo(b"from the parent")
    lost = others()
    child = os.fork()
    if child == 0:
        hang_at_most(seconds(16))
        echo(b"from the child")
        os._exit(98)
    forked(lost)
    os.waitpid(child, 0)
    os.kill(servers, signal.SIGKILL)
    os._exit(0)


main()
