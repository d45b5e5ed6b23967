//! Stream sockets that several processes of a fork family use.
//!
//! The kernel tells the end of every send and receive, of whatever system call (`sock_sendmsg_nosec` and
//! `sock_recvmsg`, `net/socket.c`, from Linux 6.3): with the socket, and what the call returns. Most
//! processes have neither forked nor are forked children; of them one byte is read. Of the others the
//! uses are counted by socket. Nothing is sent until a second process comes to a socket, and then only
//! what is new.
//!
//! What is sent is not kept: its first five bytes are compared with the header of a TLS record.

use aya_ebpf::{
    helpers::{bpf_probe_read_kernel, bpf_probe_read_user, generated},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use forktrace_common::{
    record::Kind,
    socket::{PATH_LEN, RECEIVED, SENT, SocketShared, SocketState, SocketUse, UseKey},
};

use crate::{
    config::{config, current},
    maps::{FORK_FAMILY, SOCKET_USES, SOCKETS},
    pid_bitmap,
    registers::{Sent, socket_call},
    ring::{emit, now},
};

/// `AF_UNIX`, `include/linux/socket.h`; likewise below.
const UNIX: u32 = 1;
const INET: u32 = 2;
const INET6: u32 = 10;
/// `SOCK_STREAM`, `include/linux/net.h`.
const STREAM: u16 = 1;
/// `MSG_PEEK`, `include/linux/socket.h`.
const PEEK: i32 = 2;
/// `EPIPE`, `ECONNABORTED`, `ECONNRESET`, `include/uapi/asm-generic/errno*.h`.
const ENDED: [i32; 3] = [32, 103, 104];
/// States of a TCP connection, `include/net/tcp_states.h`.
mod tcp {
    pub(super) const ESTABLISHED: i32 = 1;
    pub(super) const FIN_WAIT1: i32 = 4;
    pub(super) const CLOSE: i32 = 7;
    pub(super) const CLOSE_WAIT: i32 = 8;
    pub(super) const LAST_ACK: i32 = 9;
}

/// `TP_PROTO(struct sock *sk, int ret, int flags)`, `include/trace/events/sock.h`, Linux 6.3 and 6.18.
#[raw_tracepoint]
pub(crate) fn sock_send_length(ctx: RawTracePointContext) -> i32 {
    done(&ctx, SENT);
    0
}

/// The same.
#[raw_tracepoint]
pub(crate) fn sock_recv_length(ctx: RawTracePointContext) -> i32 {
    done(&ctx, RECEIVED);
    0
}

/// Who ends a connection: `TP_PROTO(const struct sock *sk, const int oldstate, const int newstate)`,
/// `include/trace/events/sock.h`, Linux 4.16 and 6.18. What the peer does comes in the context of
/// whatever task is on the CPU.
#[raw_tracepoint]
pub(crate) fn inet_sock_set_state(ctx: RawTracePointContext) -> i32 {
    let address: u64 = ctx.arg(0);
    let Some(state) = SOCKETS.get_ptr_mut(&address) else { return 0 };
    let (old, new): (i32, i32) = (ctx.arg::<u64>(1) as i32, ctx.arg::<u64>(2) as i32);
    // SAFETY: an entry of the map, whose words are written whole.
    let state = unsafe { &mut *state };
    match new {
        tcp::FIN_WAIT1 | tcp::LAST_ACK => state.shut_by = current().0,
        tcp::CLOSE_WAIT | tcp::CLOSE if old == tcp::ESTABLISHED => {
            state.ended_after_ns = now().saturating_sub(state.used_ns);
            state.ended_after_act = state.last_act;
            state.ended_after = state.last;
        }
        _ => {}
    }
    0
}

#[inline(always)]
fn done(ctx: &RawTracePointContext, act: u32) {
    let (tgid, _) = current();
    let forks = pid_bitmap::value(&FORK_FAMILY, tgid);
    if forks == 0 {
        return;
    }
    let (address, result): (u64, i32) = (ctx.arg(0), ctx.arg::<u64>(1) as i32);
    if act == RECEIVED && ctx.arg::<u64>(2) as i32 & PEEK != 0 {
        return;
    }
    let Some(state) = SOCKETS.get_ptr_mut(&address) else {
        if result > 0 {
            first(address, tgid, forks, act);
        }
        return;
    };
    // SAFETY: an entry of the map, whose words are written whole. Processes that use a socket at once
    // may each miss what the other adds to a count.
    let state = unsafe { &mut *state };
    if state.ignored != 0 {
        if result > 0 && state.inode != inode(address) {
            first(address, tgid, forks, act);
        }
        return;
    }
    if state.shared == 0 && state.last == tgid {
        if result > 0 {
            match state.forks == u32::from(forks) {
                true => alone(state, act),
                false => first(address, tgid, forks, act),
            }
        }
        return;
    }
    if result <= 0 && !has_ended(address, act, result) {
        return;
    }
    shared(ctx, address, state, act, result);
}

/// One more use by the only process that uses a socket.
#[inline(always)]
fn alone(state: &mut SocketState, act: u32) {
    state.used_ns = now();
    state.last_act = act;
    match act {
        SENT => {
            state.sends += 1;
            state.last_sender = state.last;
        }
        _ => state.receives += 1,
    }
}

/// The first use of a socket, or the first since a fork of the only process that uses it.
#[inline(never)]
fn first(address: u64, tgid: u32, forks: u8, act: u32) {
    let now_ns = now();
    let state = SocketState {
        inode: inode(address),
        used_ns: now_ns,
        first_ns: now_ns,
        sends: (act == SENT).into(),
        receives: (act != SENT).into(),
        last: tgid,
        last_act: act,
        last_sender: if act == SENT { tgid } else { 0 },
        ignored: (!is_connection(address)).into(),
        forks: forks.into(),
        fd: descriptor(),
        ..SocketState::default()
    };
    // Without room the socket is as one that was not used yet.
    let _ = SOCKETS.insert(&address, &state, 0);
}

/// A use of a socket that another process has used.
#[inline(always)]
fn shared(
    ctx: &RawTracePointContext,
    address: u64,
    state: &mut SocketState,
    act: u32,
    result: i32,
) {
    let (tgid, _) = current();
    let mut before = 0;
    let forks = u32::from(pid_bitmap::value(&FORK_FAMILY, state.last));
    let is_old = state.shared == 0 && forks != 0 && forks != state.forks;
    // Another socket is where that one was, or the other has not used it since its latest fork.
    if is_old || state.inode != inode(address) {
        if result > 0 {
            first(address, tgid, pid_bitmap::value(&FORK_FAMILY, tgid), act);
        }
        return;
    }
    if state.shared == 0 {
        before = state.last;
        keep_only_use(state);
    }
    let key = UseKey { inode: state.inode, tgid, reserved: 0 };
    let now_ns = now();
    let mut is_new = before != 0;
    if SOCKET_USES.get_ptr(&key).is_none() {
        begin_use(state.inode, tgid, now_ns);
        is_new = true;
    }
    let Some(usage) = SOCKET_USES.get_ptr_mut(&key) else { return };
    // SAFETY: as in `done`.
    let usage = unsafe { &mut *usage };
    state.shared = 1;
    state.acts += 1;
    usage.last_ns = now_ns;
    usage.own_acts += 1;
    if usage.fd < 0 {
        usage.fd = descriptor();
    }
    if state.last != tgid {
        state.turns += 1;
        is_new |= state.turns <= 4;
    }
    if result <= 0 {
        // Of a Unix socket nothing tells when the peer ends it.
        if state.ended_after == 0 && state.last != tgid {
            state.ended_after_ns = now_ns.saturating_sub(state.used_ns);
            state.ended_after_act = state.last_act;
            state.ended_after = state.last;
        }
        is_new |= failed(usage, result);
    } else {
        is_new |= match act {
            SENT => sent(state, usage, tgid, result),
            _ => received(state, usage, tgid),
        };
        state.used_ns = now_ns;
        state.last_act = act;
        state.last = tgid;
    }
    if is_new {
        tell(ctx, address, state, usage, before);
    }
}

// Before Linux 6.13 a program and what it calls have 512 bytes of stack together (`check_max_stack_depth`,
// `kernel/bpf/verifier.c`). So what needs much of it is a function of its own, which calls no other.

/// Keeps what the only user of a socket has done with it.
#[inline(never)]
fn keep_only_use(state: &SocketState) {
    let key = UseKey { inode: state.inode, tgid: state.last, reserved: 0 };
    let usage = SocketUse {
        first_ns: state.first_ns,
        last_ns: state.used_ns,
        sends: state.sends,
        receives: state.receives,
        is_open: (state.last_act == SENT).into(),
        tgid: state.last,
        fd: state.fd,
        ..SocketUse::default()
    };
    let _ = SOCKET_USES.insert(&key, &usage, 0);
}

/// Makes room for what one more process does with a socket.
#[inline(never)]
fn begin_use(inode: u64, tgid: u32, now_ns: u64) {
    let key = UseKey { inode, tgid, reserved: 0 };
    let fresh = SocketUse { first_ns: now_ns, tgid, fd: -1, ..SocketUse::default() };
    let _ = SOCKET_USES.insert(&key, &fresh, 0);
}

/// The descriptor that the current system call uses; -1: not known.
#[inline(always)]
fn descriptor() -> i32 {
    socket_call().map_or(-1, |(fd, _)| fd)
}

/// Whether a number is one of those at which a count is told.
#[inline(always)]
fn is_told(count: u64) -> bool {
    count & (count - 1) == 0
}

#[inline(always)]
fn failed(usage: &mut SocketUse, result: i32) -> bool {
    usage.failures += 1;
    usage.error = result.unsigned_abs();
    usage.failures <= 2
}

#[inline(always)]
fn sent(state: &mut SocketState, usage: &mut SocketUse, tgid: u32, result: i32) -> bool {
    usage.sends += 1;
    usage.is_open = 1;
    usage.send_act = state.acts;
    usage.own_acts = 0;
    state.last_sender = tgid;
    let looks = state.tls == 0 && is_told(usage.sends);
    if looks {
        state.tls = is_tls(result).into();
    }
    is_told(usage.sends)
}

#[inline(always)]
fn received(state: &mut SocketState, usage: &mut SocketUse, tgid: u32) -> bool {
    let mut is_new = false;
    let others = (state.acts - usage.send_act).saturating_sub(usage.own_acts.into());
    if usage.is_open != 0 && others > 0 {
        usage.crossings += 1;
        is_new |= is_told(usage.crossings);
    }
    if state.last_sender != 0 && state.last_sender != tgid {
        usage.after_others += 1;
        is_new |= is_told(usage.after_others);
    }
    usage.is_open = 0;
    usage.receives += 1;
    is_new | is_told(usage.receives)
}

/// Sends what is known of a socket. `before`: whose use of it comes with that of the task, or 0.
#[inline(never)]
fn tell(
    ctx: &RawTracePointContext,
    address: u64,
    state: &SocketState,
    usage: &SocketUse,
    before: u32,
) {
    let key = UseKey { inode: state.inode, tgid: before, reserved: 0 };
    let earlier = SOCKET_USES.get_ptr(&key);
    emit::<SocketShared>(ctx, Kind::SocketUse, usage.last_ns, |record| {
        // SAFETY: reserved memory of the payload's size; an entry of the map, as in `done`.
        unsafe {
            (&raw mut (*record).state).write(*state);
            (&raw mut (*record).user).write(*usage);
            match earlier {
                Some(earlier) if before != 0 => (&raw mut (*record).before).write(*earlier),
                _ => (&raw mut (*record).before).write(SocketUse::default()),
            }
            (&raw mut (*record).reserved).write([0; 4]);
            describe(address, record);
        }
    });
}

/// Writes what a socket is connected to.
///
/// # Safety
/// `record` is reserved memory.
#[inline(always)]
unsafe fn describe(address: u64, record: *mut SocketShared) {
    let family = u32::from(read::<u16>(address, config!(sockets.family)));
    let shutdown = read::<u8>(address, config!(sockets.shutdown));
    let (peer_v4, local_v4) = (config!(sockets.peer_v4), config!(sockets.local_v4));
    let (peer_v6, local_v6) = (config!(sockets.peer_v6), config!(sockets.local_v6));
    let mut ports = (0, 0);
    if family != UNIX {
        let peer = read::<u16>(address, config!(sockets.peer_port));
        ports = (u16::from_be(peer), read(address, config!(sockets.local_port)));
    }
    let name = if family == UNIX { unix_name(address) } else { 0 };
    let mut path_len = 0;
    if name != 0 {
        path_len = read::<u32>(name, config!(sockets.address_len)).saturating_sub(2);
    }
    // `sun_family` comes first.
    let path_at = config!(sockets.address_name) + 2;
    // SAFETY: the caller's promise.
    unsafe {
        (&raw mut (*record).family).write(family);
        (&raw mut (*record).shutdown).write(shutdown.into());
        (&raw mut (*record).peer_port).write(ports.0);
        (&raw mut (*record).local_port).write(ports.1);
        (&raw mut (*record).path_len).write(path_len);
        (&raw mut (*record).peer).write([0; 16]);
        (&raw mut (*record).local).write([0; 16]);
        (&raw mut (*record).path).write([0; PATH_LEN]);
        let (peer, local) = (&raw mut (*record).peer, &raw mut (*record).local);
        match family {
            INET => {
                copy(peer.cast::<[u8; 4]>(), address, peer_v4);
                copy(local.cast::<[u8; 4]>(), address, local_v4);
            }
            INET6 => {
                copy(peer, address, peer_v6);
                copy(local, address, local_v6);
            }
            _ if name != 0 => copy(&raw mut (*record).path, name, path_at),
            _ => {}
        }
    }
}

/// Copies a field of a structure of the kernel; zeros if it cannot be read.
///
/// # Safety
/// `place` is valid for writes.
#[inline(always)]
unsafe fn copy<T>(place: *mut T, address: u64, offset: u32) {
    let at = address.wrapping_add(offset.into()) as *const core::ffi::c_void;
    // SAFETY: the caller's promise; the helper checks the source.
    let _ = unsafe { generated::bpf_probe_read_kernel(place.cast(), size_of::<T>() as u32, at) };
}

/// Whether a socket is one end of a connection by an address: neither datagrams, nor a pair.
#[inline(always)]
fn is_connection(address: u64) -> bool {
    if read::<u16>(address, config!(sockets.kind)) != STREAM {
        return false;
    }
    match u32::from(read::<u16>(address, config!(sockets.family))) {
        INET | INET6 => true,
        UNIX => unix_name(address) != 0,
        _ => false,
    }
}

/// The `struct unix_address` that a Unix socket is connected to, or has been reached by; 0: none.
#[inline(always)]
fn unix_name(address: u64) -> u64 {
    let peer: u64 = read(address, config!(sockets.unix_peer));
    let name = if peer == 0 { 0 } else { read(peer, config!(sockets.unix_addr)) };
    if name != 0 { name } else { read(address, config!(sockets.unix_addr)) }
}

/// Whether a call failed because the connection has ended, not for another reason.
#[inline(always)]
fn has_ended(address: u64, act: u32, result: i32) -> bool {
    if result == 0 && act == RECEIVED {
        let state = i32::from(read::<u8>(address, config!(sockets.state)));
        let shutdown = read::<u8>(address, config!(sockets.shutdown)) & 1 != 0;
        return shutdown || matches!(state, tcp::CLOSE | tcp::CLOSE_WAIT | tcp::LAST_ACK);
    }
    let error = -result;
    error == ENDED[0] || error == ENDED[1] || error == ENDED[2]
}

#[inline(always)]
fn inode(address: u64) -> u64 {
    let socket: u64 = read(address, config!(sockets.socket));
    if socket == 0 { 0 } else { read(socket, config!(sockets.inode)) }
}

/// Whether the current system call has sent records of TLS: `struct TLSCiphertext` and the versions,
/// RFC 8446, 5.1 and 5.2. `sent`: how many bytes it has sent.
#[inline(always)]
fn is_tls(sent: i32) -> bool {
    let at = match socket_call() {
        Some((_, Sent::Bytes(at))) => at,
        Some((_, Sent::Parts(at))) => user(at),
        // `msg_iov` of `struct user_msghdr`, `include/linux/socket.h`.
        Some((_, Sent::Message(at))) => user(user(at + 16)),
        _ => return false,
    };
    // SAFETY: the helper checks the source.
    let Ok(head) = (unsafe { bpf_probe_read_user(at as *const [u8; 5]) }) else { return false };
    let length = i32::from(head[3]) << 8 | i32::from(head[4]);
    matches!(head[0], 20..=23)
        && head[1] == 3
        && head[2] <= 4
        && length > 0
        && length <= (1 << 14) + 2048
        && length + 5 <= sent
}

#[inline(always)]
fn user(at: u64) -> u64 {
    // SAFETY: the helper checks the source.
    unsafe { bpf_probe_read_user(at as *const u64) }.unwrap_or(0)
}

/// A field of a structure of the kernel; zero if it cannot be read.
#[inline(always)]
fn read<T: Copy + Default>(address: u64, offset: u32) -> T {
    let at = address.wrapping_add(offset.into()) as *const T;
    // SAFETY: the helper checks the source.
    unsafe { bpf_probe_read_kernel(at) }.unwrap_or_default()
}
