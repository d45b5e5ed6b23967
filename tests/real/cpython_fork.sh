# CPython's own tests of fork beside threads: locks, imports, logging, exits, temporary files.
exec "$PYTHON" -m test --timeout 100 -u none test_fork1 test_threading test_logging test_thread \
    test_tempfile test_random test_pty test_uuid test_ssl test_hashlib test_socketserver \
    -m '*[Ff]ork*'
