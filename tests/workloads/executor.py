"""A ProcessPoolExecutor with nothing to do. The tracer must say nothing.

executor.py [SECONDS]
"""
import concurrent.futures
import multiprocessing
import sys
import time

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as executor:
        assert list(executor.map(abs, range(-20, 0))) == list(range(20, 0, -1))
        time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 3)
