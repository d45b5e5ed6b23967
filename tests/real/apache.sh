# Apache with its prefork module under load; processes come and go with it, and all are replaced by a
# graceful restart.
port=$((20000 + $$ % 20000))
modules=/usr/lib/apache2/modules
mkdir -p html && echo hello >html/index.html
cat >apache.conf <<CONF
ServerName localhost
ServerRoot $PWD
DefaultRuntimeDir $PWD
PidFile $PWD/apache.pid
ErrorLog $PWD/error.log
Listen 127.0.0.1:$port
User www-data
Group www-data
LoadModule mpm_prefork_module $modules/mod_mpm_prefork.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule dir_module $modules/mod_dir.so
StartServers 4
MinSpareServers 2
MaxSpareServers 4
MaxConnectionsPerChild 100
DocumentRoot $PWD/html
CONF
chmod -R a+rX .
apache2 -f "$PWD/apache.conf" -k start
until "$PYTHON" "$HERE/load.py" "$port" 1 1 >/dev/null 2>&1; do sleep 0.2; done
"$PYTHON" "$HERE/load.py" "$port" 8 200
apache2 -f "$PWD/apache.conf" -k graceful
sleep 2
"$PYTHON" "$HERE/load.py" "$port" 8 200
rest "$(cat apache.pid)"
apache2 -f "$PWD/apache.conf" -k stop
while [ -e apache.pid ]; do sleep 0.1; done
