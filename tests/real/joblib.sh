# joblib with its loky, multiprocessing and threading backends, and NumPy's threads in the workers.
export PYTHONDONTWRITEBYTECODE=1 JOBLIB_TEMP_FOLDER=$PWD
"$PYTHON" - <<'PY' &
import os, time
import numpy
from joblib import Parallel, delayed

def product(size):
    time.sleep(0.02)
    return numpy.ones((size, size)).dot(numpy.ones((size, size)))[0, 0]

if __name__ == "__main__":
    product(300)
    for backend in ("multiprocessing", "threading", "loky"):
        assert Parallel(n_jobs=4, backend=backend)(
            delayed(product)(size) for size in [300] * 40) == [300] * 40
    open("idle", "w").close()
    # loky keeps its workers for the next call.
    while not os.path.exists("go"):
        time.sleep(0.2)
PY
work=$!
while [ ! -e idle ]; do kill -0 "$work" && sleep 0.1; done
rest "$work"
touch go
wait "$work"
