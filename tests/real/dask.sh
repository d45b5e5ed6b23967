# dask's scheduler with three worker processes of two threads each, which the nanny starts; then rest.
export PYTHONDONTWRITEBYTECODE=1 DASK_DISTRIBUTED__WORKER__DAEMON=False
cat >work.py <<'PY'
import os, time
from distributed import Client, LocalCluster

def square(number):
    time.sleep(0.01)
    return number ** 2

if __name__ == "__main__":
    with LocalCluster(n_workers=3, threads_per_worker=2, host="127.0.0.1", dashboard_address=None,
                      local_directory=".") as cluster, Client(cluster) as client:
        assert client.gather(client.map(square, range(100))) == [n ** 2 for n in range(100)]
        open("idle", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.2)
PY
"$PYTHON" work.py >work.log 2>&1 &
work=$!
while [ ! -e idle ]; do kill -0 "$work" && sleep 0.1; done
rest "$work"
touch go
wait "$work"
