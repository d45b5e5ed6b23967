"""A child uses a library that its parent has started, with threads that the child does not have.

handed_over_to.py LIBRARY [SECONDS]
  kafka    a producer of librdkafka: nobody sends the messages of the child
Nothing is lost:
  otel     OpenTelemetry makes its queue and its thread again in the child
  sentry   Sentry's SDK makes its thread again; the first of several events comes late
  LIBRARY-unused  the child does not use it: kafka, zmq, mongo
"""
import os
import sys
import time

what, _, unused = sys.argv[1].partition("-")
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 7


def say(name, number):
    os.write(1, f"{name}={number}\n".encode())


def kafka():
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})

    def use():
        for _ in range(20):
            producer.produce("topic", b"message")
            time.sleep(0.05)

    return use


def otel():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    exporter = ConsoleSpanExporter(out=open("/dev/null", "w"))
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=16, max_export_batch_size=4))
    tracer = provider.get_tracer("test")

    def use():
        for _ in range(20):
            with tracer.start_as_current_span("span"):
                time.sleep(0.05)

    return use


def sentry():
    import sentry_sdk
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", default_integrations=False)
    sentry_sdk.capture_message("parent")

    def use():
        for _ in range(3):
            sentry_sdk.capture_message("child")
            time.sleep(0.3)

    return use


def zmq():
    import zmq
    socket = zmq.Context().socket(zmq.PUSH)
    socket.bind("tcp://127.0.0.1:*")
    return lambda: socket.send(b"message", zmq.NOBLOCK)


def mongo():
    import pymongo
    client = pymongo.MongoClient("127.0.0.1", 9, serverSelectionTimeoutMS=500)
    return lambda: client.admin.command("ping")


use = {"kafka": kafka, "otel": otel, "sentry": sentry, "zmq": zmq, "mongo": mongo}[what]()
time.sleep(0.5)
say("forker", os.getpid())
say("lost", len(os.listdir("/proc/self/task")) - 1)
pid = os.fork()
if pid == 0:
    time.sleep(0.3)
    if not unused:
        use()
    time.sleep(seconds)
    os._exit(0)
if sys.argv[1] == "kafka":
    say("stuck", pid)
os.waitpid(pid, 0)
os._exit(0)
