# uWSGI with the application loaded before the fork, four workers of four threads each, under load; all
# workers are replaced by HUP.
port=$((20000 + $$ % 20000))
export PYTHONDONTWRITEBYTECODE=1
uwsgi --plugin python3 --http-socket "127.0.0.1:$port" --chdir "$HERE" --module wsgi_app:application \
    --master --processes 4 --threads 4 --die-on-term --need-app --disable-logging \
    >uwsgi.log 2>&1 &
master=$!
until "$PYTHON" "$HERE/load.py" "$port" 1 1 >/dev/null 2>&1; do sleep 0.2; done
"$PYTHON" "$HERE/load.py" "$port" 8 50
kill -HUP "$master"
sleep 2
until "$PYTHON" "$HERE/load.py" "$port" 1 1 >/dev/null 2>&1; do sleep 0.2; done
"$PYTHON" "$HERE/load.py" "$port" 8 50
rest "$master"
kill -TERM "$master"
wait
