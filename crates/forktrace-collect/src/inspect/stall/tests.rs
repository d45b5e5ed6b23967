#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::Read as _,
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    thread,
    time::Duration,
};

use forktrace_model::event::stall::{
    Runtime, Stall, StallTask, TaskState, TaskWait, ThingKind, Way,
};

use nix::sched::{CloneFlags, unshare};

use super::{
    call::{Call, Target, Which},
    file_locks::{self, FileLock},
    files::{self, Info, Link, Object, Watched},
    graph, host, look, not_understood, polled, process, rings, unix_sockets,
};
use crate::arch::{Blocking, HOST};

fn number(blocking: Blocking) -> i64 {
    let (_, numbers) = HOST.blocking.iter().find(|(one, _)| *one == blocking).unwrap();
    numbers[0]
}

#[test]
fn the_table_has_this_processors_numbers() {
    for (number, blocking) in [
        (libc::SYS_read, Blocking::Read),
        (libc::SYS_recvmsg, Blocking::Read),
        (libc::SYS_accept4, Blocking::Read),
        (libc::SYS_sendto, Blocking::Write),
        (libc::SYS_recvmmsg, Blocking::ReadMany),
        (libc::SYS_splice, Blocking::Splice),
        (libc::SYS_ppoll, Blocking::PollTime),
        (libc::SYS_pselect6, Blocking::Select),
        (libc::SYS_epoll_pwait, Blocking::Epoll),
        (libc::SYS_wait4, Blocking::Wait),
        (libc::SYS_waitid, Blocking::WaitId),
        (libc::SYS_flock, Blocking::Flock),
        (libc::SYS_fcntl, Blocking::Fcntl),
        (libc::SYS_clone3, Blocking::Clone3),
        (libc::SYS_clock_nanosleep, Blocking::Sleep),
        (libc::SYS_semop, Blocking::Semop),
        (libc::SYS_semtimedop, Blocking::SemopTime),
        (libc::SYS_openat, Blocking::Open),
        (libc::SYS_connect, Blocking::Connect),
        (libc::SYS_msgrcv, Blocking::Message),
        (libc::SYS_msgsnd, Blocking::Message),
        (libc::SYS_mq_timedreceive, Blocking::MessageTime),
        (libc::SYS_mq_timedsend, Blocking::MessageTime),
    ] {
        assert_eq!(HOST.blocking(number), Some(blocking), "{number}");
    }
    let all: Vec<i64> =
        HOST.blocking.iter().flat_map(|(_, numbers)| numbers.iter().copied()).collect();
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(all.len(), once.len(), "no number is there twice");
    assert_eq!(HOST.blocking(libc::SYS_rt_sigsuspend), None);
}

#[test]
fn calls_tell_what_they_wait_for_and_whether_they_end() {
    let call = |blocking, arguments| Call::of(number(blocking), arguments);
    let minus = u64::from(u32::MAX);
    let one = |timed, target| Call { timed, targets: vec![target] };
    let read = call(Blocking::Read, [0xffff_0000_0000_0003, 1, 1, 0, 0, 0]);
    assert_eq!(read, one(false, Target::File(3, Way::Read)));
    let polled = Target::Polled { array: 16, count: 2 };
    assert_eq!(call(Blocking::PollTime, [16, 2, 0, 0, 0, 0]), one(false, polled));
    assert_eq!(call(Blocking::PollTime, [16, 2, 64, 0, 0, 0]), one(true, polled));
    assert_eq!(call(Blocking::Epoll, [5, 1, 1, minus, 0, 0]), one(false, Target::Epoll(5)));
    assert_eq!(call(Blocking::Epoll, [5, 1, 1, 0, 0, 0]), one(true, Target::Epoll(5)));
    let waited = |pid: i32| call(Blocking::Wait, [u64::from(pid.cast_unsigned()), 0, 0, 0, 0, 0]);
    assert_eq!(waited(-1), one(false, Target::Children(Which::Any)));
    assert_eq!(waited(7), one(false, Target::Children(Which::Pid(7))));
    assert_eq!(waited(0), one(false, Target::Children(Which::Group(0))));
    assert_eq!(waited(-7), one(false, Target::Children(Which::Group(7))));
    assert_eq!(call(Blocking::WaitId, [3, 9, 0, 0, 0, 0]), one(false, Target::OfPidfd(9)));
    assert_eq!(call(Blocking::Fcntl, [3, 7, 0, 0, 0, 0]), one(false, Target::Lock(3)));
    assert_eq!(call(Blocking::Fcntl, [3, 38, 0, 0, 0, 0]), one(false, Target::LockOfOpenFile(3)));
    assert_eq!(call(Blocking::MessageTime, [3, 9, 9, 0, 0, 0]), one(false, Target::Message));
    assert_eq!(call(Blocking::MessageTime, [3, 9, 9, 0, 64, 0]), one(true, Target::Message));
    assert!(call(Blocking::Fcntl, [3, 1, 0, 0, 0, 0]).is_outside());
    assert!(call(Blocking::Clone, [0, 0, 0, 0, 0, 0]).is_outside());
    assert!(call(Blocking::Sleep, [0; 6]).timed);
    assert!(Call::of(libc::SYS_rt_sigsuspend, [0; 6]).is_outside());
    let semaphore = Target::Semaphore { set: 3, operations: 16, count: 1 };
    assert_eq!(call(Blocking::Semop, [3, 16, 1, 9, 0, 0]), one(false, semaphore));
    assert_eq!(call(Blocking::SemopTime, [3, 16, 1, 0, 0, 0]), one(false, semaphore));
    assert_eq!(call(Blocking::SemopTime, [3, 16, 1, 64, 0, 0]), one(true, semaphore));
    let word = Call::of(libc::SYS_futex, [16, 0x80, 2, 0, 0, 0]);
    assert_eq!(word, one(false, Target::Word { uaddr: 16, op: 0x80 }));
}

#[test]
fn descriptors_of_poll_and_select_are_found() {
    let entry = |fd: i32, events: u16| {
        [fd.to_le_bytes().as_slice(), &events.to_le_bytes(), &[0, 0]].concat()
    };
    let array = [entry(4, 1), entry(-1, 1), entry(5, 4), entry(6, 0), entry(7, 5)].concat();
    let file = Target::File;
    let found = [
        file(4, Way::Read),
        file(5, Way::Write),
        file(6, Way::Read),
        file(7, Way::Read),
        file(7, Way::Write),
    ];
    assert_eq!(polled::in_array(&array), found);
    assert_eq!(polled::in_array(&array[..5]), []);
    assert_eq!(polled::in_set(&[0b1001, 1], 9).collect::<Vec<_>>(), [0, 3, 8]);
    assert_eq!(polled::in_set(&[0b1001, 1], 8).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(polled::in_set(&[], 64).count(), 0);
}

#[test]
fn links_and_their_texts_are_read() {
    for (text, link) in [
        ("pipe:[12]", Link::Pipe(12)),
        ("socket:[7]", Link::Socket(7)),
        ("anon_inode:[eventfd]", Link::Kernel(Object::Eventfd)),
        ("anon_inode:[timerfd]", Link::Kernel(Object::Timerfd)),
        ("anon_inode:[eventpoll]", Link::Kernel(Object::Epoll)),
        ("anon_inode:[pidfd]", Link::Kernel(Object::Pidfd)),
        ("pidfd:[9]", Link::Kernel(Object::Pidfd)),
        ("anon_inode:[io_uring]", Link::Kernel(Object::Ring)),
        ("anon_inode:inotify", Link::Kernel(Object::Other)),
        ("/tmp/pipe:[12]", Link::Path),
        ("pipe:[x]", Link::Other),
        ("", Link::Other),
    ] {
        assert_eq!(Link::parse(text), link, "{text}");
    }
    let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1041\neventfd-count:  0\neventfd-id: 41\n\
                it_value: (0, 49406829)\nPid:\t-1\n\
                lock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\nlock:\t1: FLOCK\n\
                tfd:        5 events: 80000019 data:                5  pos:0 ino:61af sdev:7\ntfd: x\n";
    let info = Info::parse(text);
    assert_eq!((info.mode, info.inode, info.eventfd), (Some(2), Some(1041), Some(41)));
    assert_eq!((info.armed, info.pid), (Some(true), Some(0)));
    assert_eq!(info.locks, ["00:13:11691"]);
    assert_eq!(info.watched, [Watched { fd: 5, events: 0x8000_0019, inode: Some(0x61af) }]);
    assert_eq!(Info::parse("it_value: (0, 0)\n").armed, Some(false));
    assert_eq!(Info::parse("it_value: (0)\nflags: 9\n\n::\n"), Info::default());
    assert_eq!(Info::parse("flags:\t0100001").ends(), (false, true));
    assert_eq!(Info::default().ends(), (true, true));
}

#[test]
fn lines_of_locks_are_read() {
    let held = "1: POSIX  ADVISORY  READ  3548 fd:01:1048 128 128";
    let lock = FileLock { waits: false, pid: Some(3548), file: "fd:01:1048".into() };
    assert_eq!(file_locks::parse(held), Some(lock));
    let waits = "12:  -> FLOCK  ADVISORY  WRITE 44 08:01:7 0 EOF";
    let lock = FileLock { waits: true, pid: Some(44), file: "08:01:7".into() };
    assert_eq!(file_locks::parse(waits), Some(lock));
    let of_file = file_locks::parse("3: OFDLCK ADVISORY  WRITE -1 08:01:7 0 EOF").unwrap();
    assert_eq!(of_file.pid, None);
    for odd in
        ["", "1:", "x: FLOCK A W 1 1:2:3", "1: LEASE  ACTIVE READ 1 1:2:3", "1: FLOCK A W 1 1:2"]
    {
        assert_eq!(file_locks::parse(odd), None, "{odd}");
    }
}

#[test]
fn shared_mappings_and_runtimes_are_told() {
    let line = "7f9d278b3000-7f9d278b4000 rw-s 00000000 00:1b 1438   /dev/shm/sem.x (deleted)";
    assert_eq!(host::shared_file(line), Some(((0, 0x1b), 1438)));
    assert_eq!(host::shared_file(&line.replace("rw-s", "rw-p")), None);
    assert_eq!(host::shared_file("x"), None);
    for (name, runtime) in [
        ("python3.11", Some(Runtime::Python)),
        ("libpython3.12.so.1.0", Some(Runtime::Python)),
        ("python-wrapper", None),
        ("ruby", Some(Runtime::Ruby)),
        ("libjvm.so", Some(Runtime::Java)),
        ("libcoreclr.so", Some(Runtime::Dotnet)),
        ("node", Some(Runtime::Node)),
        ("nodeagent", None),
    ] {
        assert_eq!(process::of_name(name), runtime, "{name}");
    }
    let head = [b"\x7fELF..".as_slice(), b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0id"].concat();
    assert!(
        process::is_gos(&head) && !process::is_gos(&head[1..]) && !process::is_gos(&head[..20])
    );
}

/// A child that stops itself, in a call that something outside would end.
#[test]
fn a_stopped_process_is_told_from_one_that_sleeps() {
    use std::process::Command;
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let is = |stopped: bool| {
        let look = || look::at(child.id(), child.id()).doing;
        (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            let doing = look();
            matches!(doing, look::Doing::Stopped) == stopped && doing != look::Doing::Runs
        })
    };
    let sleeps = |_| {
        thread::sleep(Duration::from_millis(20));
        matches!(look::at(child.id(), child.id()).doing, look::Doing::Blocked(call) if call.is_timed())
    };
    assert!((0..500).any(sleeps), "sleep has begun");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    assert!(is(true));
    let looks = [look::at(child.id(), child.id()), look::at(child.id(), child.id())];
    assert!(looks[1].is_still(&looks[0]));
    let asks = super::Asks { semaphore: |_, _| None, network: |_, _| false };
    let known = super::KnownThreads::default();
    let (_, stall) = super::read(&[child.id()], &known, asks).pop().unwrap();
    let stopped = |state: &TaskState| matches!(state, TaskState::Waits(wait) if wait.stopped);
    assert!(stall.tasks.iter().any(|task| task.pid == child.id() && stopped(&task.state)));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    assert!(is(false));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn slaves_of_terminals_are_told_by_their_devices() {
    let slave = |number| Some(not_understood::Terminal::Slave(number));
    assert_eq!(not_understood::slave(136 << 8 | 7), slave(7));
    assert_eq!(not_understood::slave(137 << 8 | 1), slave(257));
    assert_eq!(not_understood::slave(4 << 8 | 64), None, "a serial line");
    assert_eq!(not_understood::slave(0), None, "none");
}

#[test]
fn counts_of_runs_are_read() {
    assert_eq!(look::schedstat("120 47831 3\n"), Some((120, 3)));
    assert_eq!(look::schedstat("120 47831"), None);
}

#[test]
fn answers_of_the_kernel_about_sockets_are_cut_anywhere() {
    let (one, other) = UnixStream::pair().unwrap();
    let inode = |socket: &UnixStream| {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        match Link::parse(path.to_str().unwrap()) {
            Link::Socket(inode) => inode,
            _ => 0,
        }
    };
    let all = unix_sockets::all();
    let found = all.get(&inode(&one)).unwrap();
    assert_eq!((found.peer, found.open_to_all), (Some(inode(&other)), false));
    assert!(!found.named && !all[&inode(&other)].named, "one of a pair");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (accepted, _) = server.accept().unwrap();
    let all = unix_sockets::all();
    assert!(all[&inode(&accepted)].named && !all[&inode(&client)].named, "the server's is");
    assert_eq!(all[&inode(&client)].peer, Some(inode(&accepted)));
    let mut none = rustc_hash::FxHashMap::default();
    for len in 0..64 {
        unix_sockets::parse(&vec![0xff; len], &mut none);
        unix_sockets::parse(&[vec![20, 0, 0, 0, 20, 0], vec![0; len]].concat(), &mut none);
    }
}

/// A thread of this process that reads from a socket of which it has the other end as well.
#[test]
fn a_thread_that_reads_is_found_with_who_could_end_it() {
    let (mut one, other) = UnixStream::pair().unwrap();
    let reader = thread::spawn(move || one.read(&mut [0]).unwrap());
    let pid = std::process::id();
    let asks = super::Asks { semaphore: |_, _| None, network: |_, _| false };
    let stall = (0..50).find_map(|_| {
        thread::sleep(Duration::from_millis(20));
        let (_, stall) = super::read(&[pid], &super::KnownThreads::default(), asks).pop()?;
        let is_read =
            |thing: &forktrace_model::event::stall::Thing| thing.kind == ThingKind::UnixSocket;
        stall.things.iter().any(is_read).then_some(stall)
    });
    let stall = stall.unwrap();
    let place = stall.things.iter().position(|thing| thing.kind == ThingKind::UnixSocket).unwrap();
    let users = &stall.things[place].users;
    assert!(users.iter().any(|user| user.pid == pid && user.writes && user.reads));
    let waits = |state: &TaskState| match state {
        TaskState::Waits(wait) => wait.on.iter().any(|on| on.thing as usize == place),
        _ => false,
    };
    assert!(stall.tasks.iter().any(|task| waits(&task.state)));
    assert!(stall.tasks.iter().any(|task| task.state == TaskState::Moves), "this thread");
    assert!(stall.processes.iter().any(|process| process.pid == pid && process.handlers.is_some()));
    drop(other);
    reader.join().unwrap();
}

#[test]
fn only_those_are_not_believed_who_moved() {
    let look = |tid, runs| look::Look {
        tid,
        doing: look::Doing::Blocked(look::Blocked { number: 0, arguments: [0; 6], place: (1, 2) }),
        runs: Some(runs),
        cpu_ns: None,
    };
    let waits = || TaskState::Waits(TaskWait::default());
    let task = |tid, state| StallTask { pid: 7, tid, state, ..StallTask::default() };
    let tasks =
        vec![task(7, waits()), task(8, waits()), task(9, TaskState::Moves), task(10, waits())];
    let mut stall = Stall { tasks, ..Stall::default() };
    let before = [look(7, 3), look(8, 3), look(9, 3)].map(|look| (look.tid, look));
    let now = [look(7, 3), look(8, 4), look(9, 9), look(10, 1)].map(|look| (look.tid, look));
    let moved = super::moved(&stall, &before.into_iter().collect(), &now.into_iter().collect());
    assert_eq!(moved, [1, 3], "8 has run, 10 is new");
    graph::set_unknown(&mut stall, &moved);
    let known = stall.tasks.iter().map(|task| task.state != TaskState::Unknown);
    assert_eq!(known.collect::<Vec<_>>(), [true, false, true, false]);
}

#[test]
fn a_thread_with_a_table_of_its_own_is_among_those_who_have_a_file() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let number = writer.as_raw_fd();
    let link = files::link(std::process::id(), std::process::id(), number).unwrap();
    let (_, Link::Pipe(inode)) = link else { unreachable!("{link:?}") };
    let (tell, told) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_FILES).unwrap();
        tell.send(u32::try_from(nix::unistd::gettid().as_raw()).unwrap()).unwrap();
        // Its copies of both ends, of which the others have the reading one alone.
        thread::sleep(Duration::from_millis(500));
    });
    let tid = told.recv().unwrap();
    drop(writer);
    let found = host::Host::default();
    let opens = found.files().of_inode(inode).to_vec();
    let has = |open: &&host::Open| open.tid == tid && open.fd == number;
    assert_eq!(opens.iter().filter(has).count(), 1, "{opens:?}");
    thread.join().unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "all ends are closed");
}

#[test]
fn files_that_are_registered_with_a_ring() {
    let all = "pos:\t0\nSqThread:\t-1\nUserFiles:\t4\n    0: pipe:[7]\n    2: anon_inode:[eventfd]\n    \
               3: /tmp/a:b\nUserBufs:\t1\n    0: 0x7f00/64\n";
    let found = vec![Link::Pipe(7), Link::Kernel(Object::Eventfd), Link::Path];
    assert_eq!(rings::registered(all), Some(found));
    assert_eq!(rings::registered("UserFiles:\t0\nUserBufs:\t0\n"), Some(Vec::new()));
    for unknown in [
        "",
        "pos:\t0\n",
        "UserFiles:\t2\nUserBufs:\t0\n",
        "UserFiles:\t1\n    0: \n",
        "UserFiles:\tx\n",
    ] {
        assert_eq!(rings::registered(unknown), None, "{unknown:?}");
    }
}

#[test]
fn a_descriptor_in_a_message_is_seen() {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let (one, mut other) = UnixStream::pair().unwrap();
    let me = std::process::id();
    let ends = [one.as_raw_fd(), other.as_raw_fd()].map(|fd| host::Open { pid: me, tid: me, fd });
    assert_eq!(host::with_messages(&ends), Some(vec![]));
    let sent = [one.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&sent)];
    let part = [std::io::IoSlice::new(b"x")];
    sendmsg::<()>(one.as_raw_fd(), &part, &rights, MsgFlags::empty(), None).unwrap();
    let seen = host::with_messages(&ends).unwrap();
    // Reading the byte alone drops the descriptor.
    other.read_exact(&mut [0]).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(host::with_messages(&ends), Some(vec![]));
}

#[test]
fn pipes_of_automounts_are_known_by_their_options() {
    let text = "36 25 0:32 / /misc rw,relatime - autofs systemd-1 \
                rw,fd=52,pgrp=1,timeout=0,minproto=5,maxproto=5,direct,pipe_ino=2104\n\
                40 25 0:33 / /x,pipe_ino=7 rw - tmpfs none rw,pipe_ino=8\n";
    assert_eq!(host::pipes_of_mounts(text), [2104]);
}
