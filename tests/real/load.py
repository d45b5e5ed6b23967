"""A bounded load on a server on this machine. load.py PORT CLIENTS REQUESTS_EACH [PATH]; fails when an
answer is not 200."""
import http.client
import sys
import threading

port, clients, requests = map(int, sys.argv[1:4])
path = sys.argv[4] if len(sys.argv) > 4 else "/"
failed = []


def client():
    for _ in range(requests):
        for attempt in range(3):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    break
            except OSError as error:
                # A worker that is being replaced closes its connections.
                if attempt == 2:
                    failed.append(error)
            finally:
                connection.close()


threads = [threading.Thread(target=client) for _ in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(f"{len(failed)} requests failed: {failed[0]}" if failed else 0)
