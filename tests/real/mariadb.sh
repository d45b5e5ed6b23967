# MariaDB: a new data directory, a server, eight clients that wait for each other's rows, then rest.
export TMPDIR=$PWD
socket=$PWD/maria.sock
chown nobody . && chmod 755 .
mariadb-install-db --no-defaults --user=nobody --datadir="$PWD/data" --skip-test-db \
    --auth-root-authentication-method=normal >install.log 2>&1
mariadbd --no-defaults --user=nobody --datadir="$PWD/data" --socket="$socket" --skip-networking \
    --pid-file="$PWD/maria.pid" --thread-handling=pool-of-threads >maria.log 2>&1 &
server=$!
sql() { mariadb --no-defaults --user=root --socket="$socket" "$@"; }
until sql -e 'select 1' >/dev/null 2>&1; do sleep 0.2; done
sql -e 'create database one; create table one.counters (id int primary key, n int) engine=innodb;
    insert into one.counters values (1, 0);'
clients=()
for _ in 1 2 3 4 5 6 7 8; do
    sql one -e 'begin; update counters set n=n+1 where id=1; select sleep(0.3); commit;' >/dev/null &
    clients+=($!)
done
wait "${clients[@]}"
rest "$server"
kill -TERM "$server"
wait
