"""Generators of Python and numpy in forked children: `generator.py WHAT HOW`."""

import os
import random
import secrets
import sys
import time

WHAT, HOW = sys.argv[1:]


def numpy():
    import numpy

    return numpy


def made(seed):
    match WHAT:
        case "Random":
            return random.Random(seed)
        case "module":
            random.seed(seed)
            return random
        case "system":
            return random.SystemRandom()
        case "subclass":
            return type("Dice", (random.Random,), {})(seed)
        case "legacy":
            numpy().random.seed(seed)
            return numpy().random
        case "RandomState":
            return numpy().random.RandomState(seed)
    return numpy().random.Generator(getattr(numpy().random, WHAT)(seed))


def child(generator, number):
    match HOW:
        case "reseeded":
            generator = made(secrets.randbits(32))
        case "alike":
            generator = made(4711)
        case "spawned":
            generator = generator.spawn(2)[number]
        case "jumped":
            generator = numpy().random.Generator(generator.bit_generator.jumped(number + 1))
        case "uuid":
            import uuid

            print([uuid.uuid4() for _ in range(3)])
    draws = HOW != "uuid" and not (HOW == "one" and number)
    print([generator.random() for _ in range(6 if draws else 0)])
    if HOW in ("equal", "fresh") and WHAT not in ("module", "system"):
        print(f"same={os.getpid()}")
    sys.stdout.flush()
    time.sleep(1.5)
    os._exit(0)


def main():
    generator = made(42)
    if HOW != "fresh":
        [generator.random() for _ in range(3)]
    for number in range(2):
        if os.fork() == 0:
            child(generator, number)
    for _ in range(2):
        os.wait()


main()
