# gunicorn with the application loaded before the fork, four workers of four threads each, under load;
# workers are replaced as they go, and all at once by HUP.
port=$((20000 + $$ % 20000))
export PYTHONDONTWRITEBYTECODE=1
gunicorn --preload --workers 4 --threads 4 --max-requests 300 --bind "127.0.0.1:$port" \
    --chdir "$HERE" --pid "$PWD/gunicorn.pid" --log-level warning wsgi_app:application &
until "$PYTHON" "$HERE/load.py" "$port" 1 1 >/dev/null 2>&1; do sleep 0.2; done
"$PYTHON" "$HERE/load.py" "$port" 8 150
kill -HUP "$(cat gunicorn.pid)"
sleep 2
"$PYTHON" "$HERE/load.py" "$port" 8 150
rest "$(cat gunicorn.pid)"
kill -TERM "$(cat gunicorn.pid)"
wait
