# Puma with the application loaded before the fork, two workers of four threads each, under load; all
# workers rest then.
port=$((20000 + $$ % 20000))
cat >config.ru <<'RUBY'
require 'logger'
log, lock, count = Logger.new(File::NULL), Mutex.new, 0
Thread.new { loop { lock.synchronize { sleep 0.01 } } }
run lambda { |env|
  count += 1
  log.info("request #{count}")
  answers = 3.times.map { |it| Thread.new { it.to_s } }.map(&:value)
  [200, { 'Content-Type' => 'text/plain' }, answers]
}
RUBY
puma --workers 2 --threads 4:4 --preload --bind "tcp://127.0.0.1:$port" --quiet config.ru \
    >puma.log 2>&1 &
master=$!
until "$PYTHON" "$HERE/load.py" "$port" 1 1 >/dev/null 2>&1; do sleep 0.2; done
"$PYTHON" "$HERE/load.py" "$port" 8 50
rest "$master"
kill -TERM "$master"
wait || true
