# CPython's own tests of multiprocessing by fork: processes, pools, queues, locks, managers, sharing.
exec "$PYTHON" -m test --timeout 100 -u none test_multiprocessing_fork \
    -m '*WithProcessesTestProcess*' -m '*WithProcessesTestQueue*' -m '*WithProcessesTestLock*' \
    -m '*WithProcessesTestSemaphore*' -m '*WithProcessesTestCondition*' \
    -m '*WithProcessesTestEvent*' -m '*WithProcessesTestBarrier*' -m '*WithProcessesTestValue*' \
    -m '*WithProcessesTestPool*' -m '*WithManagerTestQueue*' -m '*WithManagerTestLock*' \
    -m '*WithThreadsTestPool*' -m '*TestStdinBadfiledescriptor*' -m '*TestWait*' -m '*OtherTest*'
