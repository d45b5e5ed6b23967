# nginx with four workers under load; all are replaced by a reload.
port=$((20000 + $$ % 20000))
mkdir -p html && echo hello >html/index.html
cat >nginx.conf <<CONF
worker_processes 4;
pid $PWD/nginx.pid;
error_log $PWD/error.log;
events { worker_connections 64; }
http {
    access_log $PWD/access.log;
    client_body_temp_path $PWD; proxy_temp_path $PWD; fastcgi_temp_path $PWD;
    uwsgi_temp_path $PWD; scgi_temp_path $PWD;
    server { listen 127.0.0.1:$port; root $PWD/html; }
}
CONF
chmod -R a+rX .
nginx -c "$PWD/nginx.conf" -g 'user root;' -e "$PWD/error.log"
until "$PYTHON" "$HERE/load.py" "$port" 1 1 >/dev/null 2>&1; do sleep 0.2; done
"$PYTHON" "$HERE/load.py" "$port" 8 200
nginx -c "$PWD/nginx.conf" -e "$PWD/error.log" -s reload
sleep 2
"$PYTHON" "$HERE/load.py" "$port" 8 200
rest "$(cat nginx.pid)"
nginx -c "$PWD/nginx.conf" -e "$PWD/error.log" -s quit
while [ -e nginx.pid ]; do sleep 0.1; done
