# Headless Chromium: pages with a canvas, a worker and a fetch of their own are opened and closed, then
# one of them rests.
port=$((20000 + $$ % 20000))
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --disable-background-networking --remote-debugging-port=$port --user-data-dir="$PWD/profile" \
    about:blank >/dev/null 2>&1 &
browser=$!
until "$PYTHON" "$HERE/load.py" "$port" 1 1 /json/version >/dev/null 2>&1; do sleep 0.2; done
cat >page.html <<'HTML'
<canvas id=c></canvas><script>
document.getElementById('c').getContext('2d').fillRect(0, 0, 9, 9);
new Worker(URL.createObjectURL(new Blob(['postMessage(1)']))).onmessage = e => document.title = e.data;
fetch('data:text/plain,hello').then(it => it.text());
</script>
HTML
"$PYTHON" - "$port" "file://$PWD/page.html" <<'PY'
import http.client, json, sys, time

def ask(method, path):
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
    connection.request(method, path)
    return connection.getresponse().read()

pages = [json.loads(ask("PUT", "/json/new?" + sys.argv[2]))["id"] for _ in range(4)]
time.sleep(1)
for page in pages[1:]:
    ask("GET", "/json/close/" + page)
PY
rest "$browser"
kill -TERM "$browser"
wait
