"""The mechanism of https://github.com/confluentinc/confluent-kafka-python/issues/1409, with librdkafka itself:
a producer was made before the fork. In the child its messages are never sent, since librdkafka's threads are
not there, and a loop that flushes for half a second at a time never ends.
The tracer must say: lost-waker, likely: it polls.

confluent1409.py [SECONDS]
"""
import os
import time

from common import forked, hang_at_most, others, seconds
from confluent_kafka import Producer


def main():
    # Nobody listens there; the producer would go on trying, and give up after five minutes.
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    # Until the library's threads rest: before, one of them may have a lock.
    time.sleep(0.5)
    lost = others()
    if os.fork() == 0:
        hang_at_most(seconds(16))
        producer.produce("topic", b"message")
        while producer.flush(0.5):  # hangs here
            pass
        os._exit(98)
    forked(lost)
    os.wait()
    os._exit(0)


main()
