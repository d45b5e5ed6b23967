"""A multiprocessing.Pool with nothing to do: its workers wait for each other's shared lock and for
a pipe. The tracer must say nothing.

pool.py [SECONDS]
"""
import multiprocessing
import sys
import time

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map(abs, range(-20, 0)) == list(range(20, 0, -1))
        time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 3)
        pool.close()
        pool.join()
