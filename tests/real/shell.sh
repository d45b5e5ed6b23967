# A session of the shell: pipes, subshells, jobs, traps, a coprocess, parallel commands.
set +e
for number in $(seq 30); do
    (seq 100 | sort -r | head -n 5 | tr -d '\n' | wc -c) >/dev/null
    text=$(echo "$number" | sed 's/./&&/g')
    [ -n "$text" ] || exit 1
done
coproc cat
echo hello >&"${COPROC[1]}" && read -r line <&"${COPROC[0]}" && [ "$line" = hello ] || exit 1
eval "exec ${COPROC[1]}>&-"
seq 40 | xargs -P 4 -n 1 sh -c 'sleep 0.02; echo $0' | sort -n | tail -n 1 | grep -qx 40 || exit 1
trap 'woken=yes' USR1
sleep 2.5 &
(sleep 1.5 && kill -USR1 $$) &
wait %2 2>/dev/null
wait
find /usr/share/doc -maxdepth 2 -type f 2>/dev/null | head -n 200 | xargs -r cat 2>/dev/null | md5sum
diff <(seq 10) <(seq 10) && nohup true 2>/dev/null && timeout 3 sleep 1.5
ls -R /etc >/dev/null 2>&1
exit 0
