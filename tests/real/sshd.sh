# sshd: some commands one after the other, and two sessions that stay open while it rests.
port=$((20000 + $$ % 20000))
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$PWD/host"
ssh-keygen -q -t ed25519 -N '' -f "$PWD/user"
cp user.pub authorized
cat >sshd.conf <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $PWD/host
AuthorizedKeysFile $PWD/authorized
PidFile $PWD/sshd.pid
StrictModes no
UsePAM no
PermitRootLogin yes
CONF
"$(command -v sshd)" -D -f "$PWD/sshd.conf" -E "$PWD/sshd.log" &
server=$!
there=(ssh -q -F none -i "$PWD/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
    -o BatchMode=yes -p "$port")
until "${there[@]}" localhost true </dev/null; do sleep 0.2; done
for _ in 1 2 3 4; do "${there[@]}" localhost 'echo hello | cat' </dev/null >/dev/null; done
mkfifo keys
"${there[@]}" localhost cat <keys >/dev/null &
sessions=($!)
"${there[@]}" -tt localhost cat <keys >/dev/null 2>&1 &
sessions+=($!)
exec 9>keys
echo hello >&9
rest "$server"
exec 9>&-
kill -TERM "${sessions[@]}" 2>/dev/null || true
sleep 0.5
kill -TERM "$server"
wait || true
