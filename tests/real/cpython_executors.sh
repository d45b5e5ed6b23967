# CPython's own tests of concurrent.futures: the executors that fork, with their broken workers and
# their shutdowns.
exec "$PYTHON" -m test --timeout 150 -u none test_concurrent_futures -m '*ProcessPoolFork*'
