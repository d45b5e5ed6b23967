# PostgreSQL: a new cluster is started, filled, queried by eight clients and by parallel workers,
# vacuumed, and stopped.
bin=$(dirname "$(readlink -f "$(command -v postgres)")")
export PGHOST=$PWD PGUSER=postgres PGDATABASE=postgres
chown postgres . && chmod 755 .
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
as_postgres "$bin/initdb" -D "$PWD/data" -A trust >/dev/null
as_postgres "$bin/pg_ctl" -D "$PWD/data" -w -l "$PWD/data/log" \
    -o "-c listen_addresses='' -c unix_socket_directories='$PWD' -c max_parallel_workers=4" start
trap 'as_postgres "$bin/pg_ctl" -D "$PWD/data" -m immediate stop || true' EXIT
"$bin/pgbench" -q -i -s 2
"$bin/pgbench" -n -c 8 -j 2 -T 8
"$bin/psql" -q -c 'set parallel_setup_cost=0; set min_parallel_table_scan_size=0;
    select count(*), pg_sleep(2) from pgbench_accounts;' >/dev/null
# Sessions that wait for each other's row locks.
for _ in 1 2 3; do
    "$bin/psql" -q -c 'begin; update pgbench_tellers set tbalance=0; select pg_sleep(1.5); commit;' \
        >/dev/null &
done
wait %2 %3 %4 2>/dev/null || wait
"$bin/vacuumdb" -q -j 4 -z
trap - EXIT
as_postgres "$bin/pg_ctl" -D "$PWD/data" -w -m fast stop
