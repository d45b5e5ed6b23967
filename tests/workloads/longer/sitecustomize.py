"""Python reads this first, where the folder is in PYTHONPATH: a workload hangs for WORKLOAD_SECONDS at
least, whatever it says itself.
"""
import os
import signal

_alarm = signal.alarm


def _longer(seconds):
    return _alarm(max(seconds, int(os.environ.get("WORKLOAD_SECONDS", "0"))) if seconds else 0)


signal.alarm = _longer
