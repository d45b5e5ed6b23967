#!/bin/sh
# The first and only service of a guest: mounts what a Linux has, runs the plan, and ends the machine.
# All that it prints goes to the second serial port, which the host reads.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/ttyS1 2>&1
mount -t securityfs securityfs /sys/kernel/security
mount -t tracefs tracefs /sys/kernel/tracing
mkdir -p /dev/shm /dev/pts /tmp /root
chmod 1777 /tmp
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs cgroup /sys/fs/cgroup
mkdir /sys/fs/cgroup/unified
mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
for root in /3.*; do
    mkdir -p "$root/proc" "$root/dev" "$root/tmp"
    mount --bind /proc "$root/proc"
    mount --bind /dev "$root/dev"
done
hostname guest
# Loopback is down at first, and the tree has no program that knows networks: SIOCSIFFLAGS, IFF_UP.
python3 -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))'
export FORKTRACE_BIN=/vm/forktrace FORKTRACE_TESTS_BUILT=/vm/built FORKTRACE_TESTS_VM=1

# run LABEL TESTS: runs tests, by their names, in the place that the label names.
run() {
    echo "== section $1"
    hidden=
    case $1 in
    glibc-trixie) export FORKTRACE_TESTS_ROOT=/3.13 ;;
    glibc-sid) export FORKTRACE_TESTS_ROOT=/3.14 ;;
    no-btf)
        hidden=/sys/kernel/btf
        mount -t tmpfs none "$hidden"
        ;;
    few-pids)
        pids=$(cat /proc/sys/kernel/pid_max)
        echo 450 >/proc/sys/kernel/pid_max
        ;;
    perf-for-four)
        paranoid=$(cat /proc/sys/kernel/perf_event_paranoid)
        echo 2 >/proc/sys/kernel/perf_event_paranoid
        ;;
    hardened)
        # What cannot be set back; it stays for what comes after.
        for setting in kernel/kptr_restrict=2 kernel/perf_event_paranoid=3 \
            kernel/unprivileged_bpf_disabled=2 net/core/bpf_jit_harden=2 \
            kernel/yama/ptrace_scope=2 kernel/dmesg_restrict=1; do
            echo "${setting#*=}" >"/proc/sys/${setting%=*}"
        done
        ;;
    ptrace-scope-3) echo 3 >/proc/sys/kernel/yama/ptrace_scope ;;
    lockdown-*) echo "${1#lockdown-}" >/sys/kernel/security/lockdown ;;
    esac
    FORKTRACE_TESTS_ONLY=$2 /vm/e2e --test-threads 1 --color never
    echo "== end $1 $?"
    [ -z "$hidden" ] || umount "$hidden"
    [ "$1" != few-pids ] || echo "$pids" >/proc/sys/kernel/pid_max
    [ "$1" != perf-for-four ] || echo "$paranoid" >/proc/sys/kernel/perf_event_paranoid
    unset FORKTRACE_TESTS_ROOT
}

echo "== guest $(uname -r) up $(cut -d' ' -f1 /proc/uptime)"
. /vm/plan
# What the kernel complained of, without times and addresses.
dmesg | grep -A1 'cut here' | grep -v -e 'cut here' -e '^--' | sed 's/^\[[^]]*\] /== kernel /' | sort -u
echo "== done $(cut -d' ' -f1 /proc/uptime)"
sync
# The machine is told not to begin again.
echo b >/proc/sysrq-trigger
