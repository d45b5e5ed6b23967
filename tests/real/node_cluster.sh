# node:cluster with four workers under load; one of them is replaced. Each answer takes a worker thread
# and a job of libuv's pool.
port=$((20000 + $$ % 20000))
cat >server.js <<'JS'
const cluster = require('node:cluster'), { Worker } = require('node:worker_threads');
const http = require('node:http'), crypto = require('node:crypto');
if (cluster.isPrimary) {
    for (let n = 0; n < 4; n++) cluster.fork();
    cluster.on('exit', () => { if (!ends) cluster.fork(); });
    let ends = false;
    setTimeout(() => Object.values(cluster.workers)[0].kill(), 2000);
    process.on('SIGTERM', () => { ends = true; cluster.disconnect(() => process.exit(0)); });
} else {
    http.createServer((request, answer) => {
        crypto.pbkdf2('a', 'b', 1000, 16, 'sha256', (_, key) => {
            new Worker('require("worker_threads").parentPort.postMessage(1)', { eval: true })
                .once('message', () => answer.end(key));
        });
    }).listen(Number(process.argv[2]), '127.0.0.1');
}
JS
node server.js "$port" &
primary=$!
until "$PYTHON" "$HERE/load.py" "$port" 1 1 >/dev/null 2>&1; do sleep 0.2; done
"$PYTHON" "$HERE/load.py" "$port" 8 10
sleep 2
rest "$primary"
kill -TERM "$primary"
wait
