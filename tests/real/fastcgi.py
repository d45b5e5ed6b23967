"""A bounded load on a FastCGI server. fastcgi.py SOCKET SCRIPT CLIENTS REQUESTS_EACH; fails when an
answer does not say hello. The protocol: the FastCGI specification, sections 3 and 5."""
import socket
import struct
import sys
import threading

path, script, clients, requests = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
failed = []
BEGIN_REQUEST, PARAMS, STDIN = 1, 4, 5
RESPONDER = 1


def record(kind, content):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def ask():
    pairs = {"SCRIPT_FILENAME": script, "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}
    names = b"".join(
        bytes([len(name), len(value)]) + name.encode() + value.encode()
        for name, value in pairs.items()
    )
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        begin = record(BEGIN_REQUEST, struct.pack(">HB5x", RESPONDER, 0))
        connection.sendall(
            begin + record(PARAMS, names) + record(PARAMS, b"") + record(STDIN, b"")
        )
        return b"hello" in b"".join(iter(lambda: connection.recv(65536), b""))


def client():
    for _ in range(requests):
        try:
            if not ask():
                failed.append("no hello")
        except OSError as error:
            failed.append(error)


threads = [threading.Thread(target=client) for _ in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(f"{len(failed)} requests failed: {failed[0]}" if failed else 0)
