# pytest-xdist with four workers, whose tests fork and use pools; the last one rests.
export PYTHONDONTWRITEBYTECODE=1
cat >test_it.py <<'PY'
import multiprocessing, os, subprocess, time
import pytest

@pytest.mark.parametrize("number", range(24))
def test_work(number):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-number]) == [number]
    subprocess.run(["true"], check=True)

def test_rest():
    open(os.environ["REST"] + "/idle", "w").close()
    while not os.path.exists(os.environ["REST"] + "/go"):
        time.sleep(0.2)
PY
REST=$PWD "$PYTHON" -m pytest -q -p no:cacheprovider -n 4 test_it.py >pytest.log 2>&1 &
work=$!
while [ ! -e idle ]; do kill -0 "$work" && sleep 0.1; done
rest "$work"
touch go
wait "$work"
