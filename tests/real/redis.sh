# Redis under load, saved by forked children while it goes on.
socket=$PWD/redis.sock
redis-server --port 0 --unixsocket "$socket" --dir "$PWD" --daemonize no --appendonly yes \
    --save '' >/dev/null &
redis=$!
until redis-cli -s "$socket" ping >/dev/null 2>&1; do sleep 0.1; done
redis-benchmark -s "$socket" -q -n 20000 -r 10000 -t set,get,lpush >/dev/null
for _ in 1 2 3 4; do
    redis-cli -s "$socket" bgsave >/dev/null
    redis-benchmark -s "$socket" -q -n 5000 -t set,get >/dev/null
    sleep 1
done
redis-cli -s "$socket" bgrewriteaof >/dev/null
sleep 1
rest "$redis"
redis-cli -s "$socket" shutdown nosave
wait
