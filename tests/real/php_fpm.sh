# PHP-FPM with workers that come and go with the load, and one that is replaced after fifty requests.
fpm=$(command -v php-fpm8.2 || command -v php-fpm8.4 || command -v php-fpm)
socket=$PWD/php.sock
cat >fpm.conf <<CONF
[global]
error_log = $PWD/error.log
daemonize = no
[www]
user = www-data
group = www-data
listen = $socket
pm = dynamic
pm.max_children = 6
pm.start_servers = 3
pm.min_spare_servers = 2
pm.max_spare_servers = 4
pm.max_requests = 50
CONF
echo '<?php session_id("one"); file_put_contents("php://temp", "x"); echo shell_exec("echo hello");' \
    >hello.php
chmod -R a+rX .
"$fpm" -n -y "$PWD/fpm.conf" &
master=$!
while [ ! -S php.sock ]; do sleep 0.1; done
"$PYTHON" "$HERE/fastcgi.py" "$socket" "$PWD/hello.php" 8 40
rest "$master"
kill -QUIT "$master"
wait
