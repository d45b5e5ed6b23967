# Celery with Redis: four forked workers, replaced after ten tasks each, a hundred tasks, then rest.
socket=$PWD/redis.sock
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE CELERY_URL="redis+socket://$socket"
redis-server --port 0 --unixsocket "$socket" --dir "$PWD" --save '' >/dev/null &
redis=$!
until redis-cli -s "$socket" ping >/dev/null 2>&1; do sleep 0.1; done
"$PYTHON" -m celery -A celery_tasks worker -c 4 --max-tasks-per-child 10 --loglevel WARNING \
    >celery.log 2>&1 &
worker=$!
"$PYTHON" -c '
import celery_tasks
results = [celery_tasks.square.delay(number) for number in range(100)]
assert [result.get(timeout=60) for result in results] == [number**2 for number in range(100)]
'
rest "$worker"
kill -TERM "$worker"
wait "$worker"
redis-cli -s "$socket" shutdown nosave
wait
