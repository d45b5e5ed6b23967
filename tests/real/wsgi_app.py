"""What gunicorn serves: it logs, uses locks of its own, a pool of threads and a queue, and has a
thread in the master, whose lock nobody else wants."""
import concurrent.futures
import logging
import queue
import threading
import time

logging.basicConfig(level=logging.WARNING)
counter_lock = threading.Lock()
masters_lock = threading.Lock()
jobs = queue.Queue()
started = threading.local()
counter = 0


def beat():
    while True:
        with masters_lock:
            time.sleep(0.01)


threading.Thread(target=beat, daemon=True).start()


def application(environ, start_response):
    global counter
    with counter_lock:
        counter += 1
    logging.info("request %d", counter)
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        answers = list(executor.map(str, range(3)))
    jobs.put(answers)
    body = ",".join(jobs.get()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
