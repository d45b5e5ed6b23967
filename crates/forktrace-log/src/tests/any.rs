//! Strategies: any event.

use proptest::{collection::btree_map, collection::vec, option, prelude::*};

use super::{any_file_lock, any_socket};
use forktrace_model::event::*;

use super::{any_buffers::buffers, any_generators::generators};

/// Texts as a traced program may choose them, control characters and all.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/_.-]{0,15}", any::<String>()]
}

pub(super) fn task() -> impl Strategy<Value = Task> {
    (any::<u32>(), any::<u32>(), text()).prop_map(|(pid, tid, comm)| Task { pid, tid, comm })
}

pub(super) fn thread_name() -> impl Strategy<Value = ThreadName> {
    (any::<u32>(), text()).prop_map(|(tid, comm)| ThreadName { tid, comm })
}

fn wait() -> impl Strategy<Value = Wait> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>());
    (numbers, any::<bool>(), any::<bool>()).prop_map(
        |((enter_ns, uaddr, op, val), timed, since_before)| Wait {
            enter_ns,
            uaddr,
            op,
            val,
            timed,
            since_before,
            not_before_ns: timed.then_some(val),
        },
    )
}

pub(super) fn window() -> impl Strategy<Value = Window> {
    (any::<u64>(), vec(any::<u8>(), 0..40)).prop_map(|(address, bytes)| Window { address, bytes })
}

fn mapping() -> impl Strategy<Value = Mapping> {
    (any::<[u64; 3]>(), text(), any::<bool>(), text()).prop_map(
        |([start, end, offset], perms, shared, path)| Mapping {
            start,
            end,
            perms,
            shared,
            path,
            offset,
        },
    )
}

fn at_fork() -> impl Strategy<Value = AtFork> {
    let missing = prop::sample::select(vec![
        Missing::NotObserved,
        Missing::Off,
        Missing::LimitReached,
        Missing::ForkedItself,
        Missing::NoFault,
    ]);
    prop_oneof![window().prop_map(AtFork::Known), missing.prop_map(AtFork::Unknown)]
}

fn place() -> impl Strategy<Value = Place> {
    let tids = (any::<Option<u32>>(), any::<Option<u32>>());
    let names = (any::<u64>(), option::of(text()), option::of((any::<u64>(), tids)));
    (names, option::of(mapping()), option::of(window()), at_fork()).prop_map(
        |((address, python_type, owner), mapping, now, at_fork)| Place {
            address,
            mapping,
            now,
            at_fork,
            python_type,
            owner: owner.map(|(address, (tid_at_fork, tid))| OwnerThread {
                address,
                tid_at_fork,
                tid,
            }),
        },
    )
}

pub(super) fn doing() -> impl Strategy<Value = Doing> {
    let futex = (any::<u64>(), any::<u32>(), any::<u64>(), any::<bool>());
    prop_oneof![
        futex.prop_map(|(uaddr, op, val, timed)| Doing::Futex { uaddr, op, val, timed }),
        any::<u64>().prop_map(Doing::Syscall),
        Just(Doing::Running),
        Just(Doing::Unknown),
    ]
}

fn thread_sample() -> impl Strategy<Value = ThreadSample> {
    (any::<u32>(), text(), doing(), any::<Option<bool>>()).prop_map(|(tid, comm, doing, ran)| {
        ThreadSample { tid, ns_tid: ran.map(|_| tid / 2), comm, doing, ran, private: ran }
    })
}

pub(super) fn python_frame() -> impl Strategy<Value = PythonFrame> {
    (text(), any::<u32>(), text()).prop_map(|(file, line, function)| PythonFrame {
        file,
        line,
        function,
    })
}

fn probed() -> impl Strategy<Value = Probed> {
    let hold = (any::<[u64; 3]>(), any::<u32>(), any::<Option<u64>>(), option::of(text()))
        .prop_map(|([address, since_ns, caller], tid, until_ns, place)| Hold {
            address,
            tid,
            since_ns,
            until_ns,
            until_tid: until_ns.map(|_| tid),
            caller,
            place,
        });
    (vec(hold, 0..3), any::<[Option<u64>; 2]>(), any::<bool>()).prop_map(
        |(holds, [child_since_ns, parent_since_ns], child_used)| Probed {
            holds,
            child_since_ns,
            parent_since_ns,
            child_used,
        },
    )
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let python = prop_oneof![
        vec(python_frame(), 0..3).prop_map(Python::Frames),
        text().prop_map(Python::None),
    ];
    let module = (text(), any::<u64>()).prop_map(|(path, address)| Module { path, address });
    let libc = option::of(prop::sample::select(vec![Libc::Glibc, Libc::Musl]));
    let around = (option::of(module), libc, option::of(place())).boxed();
    let memory = (option::of(mapping()), around, option::of(window()), at_fork()).boxed();
    let process = (any::<Option<u32>>(), vec(thread_sample(), 0..3), any::<Vec<u32>>()).boxed();
    let waking = (any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<u32>>());
    let lock = (
        first_writes(),
        vec(waiter(), 0..3),
        option::of(python_lock()).boxed(),
        vec(python_thread(), 0..3),
    );
    let python = (python, option::of(super::native::native()), lock.boxed()).boxed();
    let late = (option::of(late().prop_map(Box::new)), option::of(probed())).boxed();
    (wait(), any::<(bool, bool)>(), memory, process, waking, python, late).prop_map(
        |(wait, looked, (mapping, around, now, at_fork), process, waking, python, late)| Evidence {
            wait,
            still_waiting: looked.0,
            denied: looked.1,
            ns_pid: process.0,
            mapping,
            module: around.0,
            libc: around.1,
            now,
            at_fork,
            target: around.2,
            wakes_since_fork: waking.0,
            threads: process.1,
            memory_shared_with: process.2,
            handlers: waking.1,
            timers: waking.2,
            python: python.0,
            native: python.1.map(Box::new),
            first_writes: python.2.0,
            waiters: python.2.1,
            python_lock: python.2.2,
            python_read_ns: waking.0.map(|wakes| wakes >> 12),
            python_threads: python.2.3,
            late: late.0,
            waited_by: Vec::new(),
            probed: late.1,
        },
    )
}

fn first_writes() -> impl Strategy<Value = FirstWrites> {
    let name = || option::of(text());
    let write = || {
        (any::<[u64; 3]>(), any::<u32>(), name(), name()).prop_map(
            |([boot_ns, address, other_ns], tid, module, function)| FirstWrite {
                times: Some(tid).filter(|tid| tid % 2 == 0),
                boot_ns,
                tid,
                address,
                other_ns,
                module,
                function,
            },
        )
    };
    (option::of(write()), option::of(write()))
        .prop_map(|(child, forker)| FirstWrites { child, forker })
}

fn waiter() -> impl Strategy<Value = Waiter> {
    any::<(u32, u64)>().prop_map(|(tid, enter_ns)| Waiter {
        tid,
        enter_ns,
        times: Some(enter_ns).filter(|_| tid % 2 == 0),
    })
}

fn python_lock() -> impl Strategy<Value = PythonLock> {
    let method = (any::<u64>(), window(), at_fork(), option::of(python_frame())).prop_map(
        |(address, now, at_fork, left_at)| KeptMethod {
            address,
            now,
            at_fork,
            on_frame: Some(address % 2 == 0).filter(|_| address % 3 > 0),
            left_at,
        },
    );
    (any::<(u64, Option<u32>)>(), text(), window(), at_fork(), vec(method, 0..2)).prop_map(
        |((address, owner_tid), type_name, now, at_fork, exits)| PythonLock {
            address,
            type_name,
            now,
            at_fork,
            exits,
            owner_tid,
        },
    )
}

fn python_thread() -> impl Strategy<Value = PythonThread> {
    let uses = [
        LockUse::With,
        LockUse::Refers,
        LockUse::Calls,
        LockUse::Manager,
        LockUse::Unknown,
        LockUse::Nothing,
    ];
    let lock_use = prop::sample::select(uses.to_vec());
    (any::<Option<u32>>(), any::<u64>(), lock_use, option::of(python_frame())).prop_map(
        |(tid, ident, lock_use, innermost)| PythonThread { tid, ident, lock_use, innermost },
    )
}

fn late() -> impl Strategy<Value = UnobservedFork> {
    let thread = (any::<u32>(), any::<Option<u32>>(), text(), any::<u64>())
        .prop_map(|(tid, ns_tid, comm, start_ns)| RelativeThread { tid, ns_tid, comm, start_ns });
    let about = (any::<u32>(), text(), any::<bool>(), any::<bool>(), any::<Option<u32>>());
    let kin = (about, vec(thread, 0..3), option::of(window())).prop_map(
        |((pid, comm, parent, same_pid_ns, forker), threads, now)| Relative {
            forked: parent,
            pid,
            comm,
            parent,
            same_pid_ns,
            threads,
            forker,
            now,
        },
    );
    let learnt = prop_oneof![any::<u32>().prop_map(Learnt::SharedWith), Just(Learnt::LatestFork)];
    (any::<u64>(), option::of(kin), option::of(learnt), any::<bool>()).prop_map(
        |(start_ns, kin, learnt, tids_in_order)| UnobservedFork {
            start_ns,
            thread_start_ns: tids_in_order.then_some(start_ns),
            not_execed: kin.is_some() || tids_in_order,
            relative: kin,
            learnt,
            tids_in_order,
        },
    )
}

fn trace_start() -> impl Strategy<Value = TraceStart> {
    (text(), vec(text(), 0..3), any::<i64>(), any::<u64>(), btree_map(text(), any::<u32>(), 0..3))
        .prop_map(|(word, command, clock_offset_ns, min_wait_ns, offsets)| TraceStart {
            version: word.clone(),
            command,
            kernel: word.clone(),
            arch: word.clone(),
            page_size: min_wait_ns,
            boot_id: word.clone(),
            clock_offset_ns,
            min_wait_ns,
            filter: word,
            asked: vec![7; min_wait_ns as usize % 3].into(),
            snapshots: min_wait_ns % 2 == 0,
            lean: min_wait_ns % 5 == 0,
            calls: min_wait_ns % 3 == 0,
            connections: min_wait_ns % 7 == 0,
            file_locks: min_wait_ns % 3 == 0,
            offsets,
            trace_id: ["", "6c0e"][min_wait_ns as usize % 2].into(),
            part: min_wait_ns as u32 % 3,
            carried: min_wait_ns as u32 % 5,
        })
}

fn known_fork() -> impl Strategy<Value = KnownFork> {
    let flags = (any::<bool>(), any::<u64>(), any::<bool>());
    (any::<[u32; 2]>(), any::<u64>(), text(), vec(thread_name(), 0..3), flags).prop_map(
        |([by_pid, by_tid], boot_ns, by_comm, lost, (by_alive, clone_flags, lost_known))| {
            KnownFork { boot_ns, by_pid, by_tid, by_comm, by_alive, clone_flags, lost, lost_known }
        },
    )
}

fn known() -> impl Strategy<Value = Known> {
    let exec =
        (any::<u64>(), text()).prop_map(|(boot_ns, filename)| KnownExec { boot_ns, filename });
    let thread =
        (any::<u32>(), any::<u64>()).prop_map(|(tid, start_ns)| KnownThread { tid, start_ns });
    let numbers = (any::<u64>(), any::<Option<u64>>(), any::<[bool; 4]>());
    (numbers, vec(known_fork(), 0..3), option::of(exec), vec(thread, 0..3)).prop_map(
        |(
            (began_ns, threads_known_ns, [forks_cut, had_threads, incomplete, resynced]),
            forks,
            exec,
            threads,
        )| {
            Known {
                began_ns,
                forks,
                forks_cut,
                exec,
                had_threads,
                incomplete,
                resynced,
                threads_known_ns,
                threads,
            }
        },
    )
}

fn owner() -> impl Strategy<Value = ProcessOwner> {
    (any::<Option<u32>>(), option::of(text()))
        .prop_map(|(uid, cgroup)| ProcessOwner { uid, cgroup })
}

fn snapshot() -> impl Strategy<Value = ProcessSnapshot> {
    let flags = (any::<Option<u32>>(), any::<bool>(), any::<u64>(), any::<bool>());
    let later = (owner(), option::of(known().boxed()));
    let basic = (any::<u32>(), any::<u64>(), option::of(text()), vec(thread_name(), 0..3));
    (basic, flags, later).prop_map(
        |((ppid, start_ns, exe, threads), (ns_pid, resync, read_ns, command), (owner, known))| {
            ProcessSnapshot {
                ppid,
                start_ns,
                exe,
                ns_pid,
                threads,
                resync,
                read_ns,
                command,
                uid: owner.uid,
                cgroup: owner.cgroup,
                known: known.map(Box::new),
            }
        },
    )
}

fn unjudged() -> impl Strategy<Value = UnjudgedWait> {
    let why = prop_oneof![Just(Unjudged::Gone), Just(Unjudged::NobodySeen)];
    (doing(), any::<u64>(), why, option::of(python_frame()), any::<bool>()).prop_map(
        |(doing, since_ns, why, python, over)| {
            let frame = None;
            UnjudgedWait { doing, since_ns, why, python, frame, over }
        },
    )
}

fn lost_word() -> impl Strategy<Value = LostWord> {
    (at_fork(), option::of(window()), option::of(mapping()), any::<Option<u64>>()).prop_map(
        |(at_fork, now, mapping, changed_ns)| LostWord {
            at_fork,
            first: now.clone(),
            now,
            mapping,
            changed_ns,
            waiters: 1,
            wakes: changed_ns,
            module: None,
        },
    )
}

fn lost_thread() -> impl Strategy<Value = LostThread> {
    (thread_name(), doing(), option::of(lost_word()), vec(python_frame(), 0..2), any::<u64>())
        .prop_map(|(name, doing, word, python, address)| LostThread {
            tid: name.tid,
            comm: name.comm.clone(),
            doing,
            since_fork: word.is_some(),
            word: word.map(Box::new),
            stack: Some(Box::new(stacks::Stack::missing(name.comm.clone()))),
            python,
            held: vec![HeldLock { address, place: Some(name.comm) }],
        })
}

fn lost_threads() -> impl Strategy<Value = LostThreads> {
    let others = (thread_name(), doing()).prop_map(|(name, doing)| OtherThread {
        tid: name.tid,
        comm: name.comm,
        doing,
    });
    (any::<[u64; 2]>(), vec(lost_thread(), 0..3), vec(others, 0..2), any::<Option<bool>>())
        .prop_map(|([fork_ns, seen_ns], threads, others, ending)| LostThreads {
            fork_ns,
            seen_ns,
            threads,
            others,
            ending,
            runtime: ending.map(|_| stall::Runtime::Python),
            fork: ending.map(|_| Box::new(stacks::Stack::missing("gone"))),
            python: Vec::new(),
            python_ns: fork_ns,
        })
}

/// Any event that happened to a task.
fn task_event() -> impl Strategy<Value = Body> {
    prop_oneof![
        snapshot().prop_map(Body::ProcessSnapshot),
        (any::<u32>(), any::<u64>()).prop_map(|(child_pid, clone_flags)| Body::ProcessFork(
            ProcessFork { child_pid, clone_flags }
        )),
        (any::<u32>(), any::<u64>()).prop_map(|(child_tid, clone_flags)| Body::ThreadStart(
            ThreadStart { child_tid, clone_flags }
        )),
        (any::<u32>(), text())
            .prop_map(|(old_tid, filename)| Body::ProcessExec(ProcessExec { old_tid, filename })),
        any::<Option<u32>>()
            .prop_map(|status| Body::ProcessExit(ProcessExit { ended: status.map(Ended::of) })),
        owner().prop_map(Body::ProcessOwner),
        any::<Option<bool>>()
            .prop_map(|group_dead| Body::ThreadExit(ThreadExit { group_dead, ended: None })),
        (wait(), any::<Option<i64>>()).prop_map(|(wait, result)| {
            let over = result.is_none() && wait.timed;
            Body::FutexWait(FutexWait { wait, result, over })
        }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(uaddr, op)| Body::FutexWake(FutexWake { uaddr, op })),
        evidence().prop_map(|evidence| Body::Evidence(Box::new(evidence))).boxed(),
        unjudged().prop_map(|wait| Body::WaitUnjudged(Box::new(wait))).boxed(),
        lost_threads().prop_map(|lost| Body::LostThreads(Box::new(lost))).boxed(),
        generators().prop_map(|found| Body::Generators(Box::new(found))).boxed(),
        buffers().prop_map(|found| Body::Buffers(Box::new(found))).boxed(),
        any_socket::socket_use().prop_map(|seen| Body::SocketUse(Box::new(seen))).boxed(),
        any_file_lock::file_lock().prop_map(|seen| Body::FileLock(Box::new(seen))).boxed(),
        any_file_lock::blocked().prop_map(|seen| Body::BlockedSignals(Box::new(seen))).boxed(),
        any_socket::file_use().prop_map(|seen| Body::FileUse(Box::new(seen))).boxed(),
    ]
}

/// Any event about the trace itself.
fn trace_event() -> impl Strategy<Value = Body> {
    prop_oneof![
        trace_start().prop_map(|start| Body::TraceStart(Box::new(start))),
        (any::<u64>(), btree_map(text(), any::<u64>(), 0..3))
            .prop_map(|(count, by_kind)| Body::EventsLost(EventsLost { count, by_kind })),
        (any::<u32>(), any::<u64>())
            .prop_map(|(processes, listed_ns)| Body::Resync(Resync { processes, listed_ns })),
        any::<u32>().prop_map(|next| Body::Rotated(Rotated { next })),
        (text(), btree_map(text(), any::<u64>(), 0..3), any::<[u64; 2]>()).prop_map(
            |(reason, counters, [lost, unwritten])| Body::TraceEnd(TraceEnd {
                reason: reason.clone(),
                counters,
                lost,
                unwritten,
                traced_ns: Some(lost / 2).filter(|_| lost % 2 == 0),
                conclusion: [None, Some(TraceConclusion::Hangs), Some(TraceConclusion::Clear)]
                    [(unwritten % 3) as usize],
                threaded_forks: vec![ThreadedForks {
                    forks: lost,
                    names: [(reason, unwritten)].into(),
                    ..ThreadedForks::default()
                }],
            })
        ),
    ]
}

/// Any event that a log can hold.
pub(super) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (any::<u64>(), task(), task_event()).prop_map(|(boot_ns, task, body)| Event {
            boot_ns,
            task: Some(task),
            body
        }),
        (any::<u64>(), option::of(task()), trace_event()).prop_map(|(boot_ns, task, body)| Event {
            boot_ns,
            task,
            body
        }),
    ]
}
