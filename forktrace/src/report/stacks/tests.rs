#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::report::hazards::tests::finding as hang;
use forktrace_model::{event::PythonFrame, finding::Detail, finding::HazardId};

const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
const PYTHON: &str = "/usr/lib/libpython3.11.so.1.0";

fn frame(symbol: &str, module: &str, place: Option<(&str, u32)>) -> Frame {
    Frame {
        address: 0x7000,
        symbol: (!symbol.is_empty()).then(|| symbol.to_owned()),
        module: Some(module.to_owned()),
        offset: Some(0x1a2b),
        file: place.map(|(file, _)| file.to_owned()),
        line: place.map(|(_, line)| line),
        build_id: None,
    }
}

fn chain(stack: &[Frame], most: usize, style: Style) -> String {
    fold::text(stack, most, false, style)
}

fn plain() -> Style {
    Style::default()
}

#[test]
fn the_lock_function_is_named_as_programs_know_it_and_what_is_inside_is_left_out() {
    let stack = [
        frame("futex_wait", LIBC, Some(("../nptl/futex-internal.h", 146))),
        frame("__GI___lll_lock_wait", LIBC, None),
        frame("___pthread_mutex_lock", LIBC, Some(("pthread_mutex_lock.c", 93))),
        frame("take", "/srv/app/libcache.so", None),
        frame("handle", "/srv/app/server", Some(("/src/app/server.c", 41))),
        frame("main", "/srv/app/server", Some(("/src/app/server.c", 88))),
        frame("__libc_start_main_impl", LIBC, None),
        frame("_start", "/srv/app/server", None),
    ];
    let text =
        "pthread_mutex_lock ← take (libcache.so) ← handle (server.c:41) ← main (server.c:88)";
    assert_eq!(chain(&stack, 4, plain()), text);
    let ascii = Style { ascii: true, ..plain() };
    assert_eq!(chain(&stack, 1, ascii), "pthread_mutex_lock <- take (libcache.so)");
}

#[test]
fn rusts_own_functions_do_not_hide_the_programs() {
    let app = "/srv/app/server";
    let stack = [
        frame("syscall", LIBC, None),
        frame("std::sys::pal::unix::futex::futex_wait", app, Some(("futex.rs", 73))),
        frame("<std::sys::sync::mutex::futex::Mutex>::lock", app, Some(("futex.rs", 33))),
        frame("<std::io::stdio::Stdout as std::io::Write>::write_all", app, None),
        frame("server::log_line", app, Some(("/src/app/log.rs", 12))),
        frame("core::ops::function::FnOnce::call_once", app, Some(("function.rs", 250))),
        frame("server::main", app, Some(("/src/app/main.rs", 7))),
        frame("std::rt::lang_start", app, None),
    ];
    let text = "<std::io::stdio::Stdout as std::io::Write>::write_all (server) ← server::log_line \
                (log.rs:12) ← server::main (main.rs:7)";
    assert_eq!(chain(&stack, 4, plain()), text);
    let stack = [
        frame("___pthread_mutex_lock", LIBC, None),
        frame("std::mutex::lock", app, Some(("std_mutex.h", 100))),
        frame("handle", app, Some(("server.cc", 41))),
        frame("std::__invoke_impl<void, void (*)()>", app, Some(("invoke.h", 61))),
    ];
    assert_eq!(
        chain(&stack, 4, plain()),
        "std::mutex::lock (std_mutex.h:100) ← handle (server.cc:41)"
    );
    // Of a type of the program's own.
    let own = frame("<server::Log as std::io::Write>::write", app, None);
    assert_eq!(chain(&[own], 4, plain()), "<server::Log as std::io::Write>::write (server)");
}

#[test]
fn what_has_no_name_shows_where_it_is() {
    let stack = [frame("", LIBC, None), frame("", "/srv/app/server (deleted)", None)];
    assert_eq!(chain(&stack, 4, plain()), "libc.so.6+0x1a2b ← server+0x1a2b");
    // Only what the library exports has a name.
    let stack = [frame("", LIBC, None), frame("localtime_r", LIBC, None)];
    assert_eq!(chain(&stack, 4, plain()), "localtime_r");
    assert_eq!(chain(&[], 4, plain()), "");
}

#[test]
fn hostile_names_are_harmless() {
    let stack = [frame("a\x1b[31mb", "/x/\u{202e}evil", Some(("/y/\n.c", 1)))];
    let text = chain(&stack, 4, plain());
    assert_eq!(text, "a\\x1b[31mb (\\n.c:1)");
}

#[test]
fn the_fork_site_is_the_programs_own() {
    let fork = [
        frame("__libc_fork", LIBC, None),
        frame("spawn", "/srv/app/server", Some(("pool.c", 12))),
        frame("main", "/srv/app/server", Some(("server.c", 88))),
    ];
    let site = |stack: &[Frame], python: &[(&str, &str)]| {
        let mut finding = hang(HazardId::InheritedLock, 1);
        let mut fork = finding.fork_site().unwrap().clone();
        fork.stack = stack.to_vec();
        let frame = |(file, function): &(&str, &str)| PythonFrame {
            file: (*file).into(),
            line: 22,
            function: (*function).into(),
        };
        if let Detail::Wait(wait) = &mut finding.detail {
            wait.python = python.iter().map(frame).collect();
        }
        fork_site(&finding, &fork, plain())
    };
    assert_eq!(site(&fork, &[]), "spawn (pool.c:12) ← main (server.c:88)");
    assert_eq!(site(&fork[..1], &[]), "");
    assert_eq!(site(&[], &[]), "");
    let python = [frame("__libc_fork", LIBC, None), frame("os_fork", PYTHON, None)];
    let stuck = ("app.py", "work");
    assert_eq!(site(&python, &[stuck]), "os.fork() of Python");
    let launch = ("/usr/lib/python3.11/multiprocessing/popen_fork.py", "_launch");
    let start = ("/usr/lib/python3.11/multiprocessing/process.py", "start");
    assert_eq!(site(&python, &[stuck, launch, start, ("app.py", "main")]), "app.py:22 in main");
}

#[test]
fn below_python_lines_only_the_functions_of_an_extension_are_shown() {
    let inner = [
        frame("___pthread_mutex_lock", LIBC, None),
        frame("grpc_poll", "/x/cygrpc.so", None),
        frame("method_vectorcall", PYTHON, None),
        frame("_PyEval_EvalFrameDefault", PYTHON, None),
        frame("main", "/x/other", None),
    ];
    assert_eq!(below_python(&inner, 4, plain()), "pthread_mutex_lock ← grpc_poll (cygrpc.so)");
    let own = [inner[0].clone(), inner[2].clone(), inner[3].clone(), inner[4].clone()];
    assert_eq!(below_python(&own, 4, plain()), "");
}

#[test]
fn fates_of_a_holder() {
    let holder = |fate, holding, stack: &[Frame]| Holder {
        fate,
        holding,
        stack: stack.to_vec(),
        doing: Some(Doing::Syscall(0)),
        ..Holder::new(1, 2, None)
    };
    let say = |holder: Holder| fate(&holder, true, plain());
    assert_eq!(say(Holder::new(1, 2, None)), "");
    let stack = [frame("__GI___libc_read", LIBC, None), frame("hold", "/a", Some(("a.c", 3)))];
    assert_eq!(
        say(holder(Some(Fate::Alive), Some(true), &stack)),
        "; in the parent it still holds the lock, at read ← hold (a.c:3)"
    );
    assert_eq!(
        say(holder(Some(Fate::Alive), Some(true), &[])),
        "; in the parent it still holds the lock, in system call 0"
    );
    assert_eq!(
        say(holder(Some(Fate::Alive), Some(false), &[])),
        "; in the parent it has since released the lock"
    );
    let python = [frame("__GI___wait4", LIBC, None), frame("os_wait4", PYTHON, None)];
    assert_eq!(
        say(holder(Some(Fate::Alive), None, &python)),
        "; in the parent it is still alive, at wait4"
    );
    let line = PythonFrame { file: "app.py".into(), line: 9, function: "hold".into() };
    let with = Holder { python: vec![line], ..holder(Some(Fate::Alive), Some(true), &python) };
    assert_eq!(say(with), "; in the parent it still holds the lock, at app.py:9 in hold");
    assert_eq!(say(holder(Some(Fate::Exited), None, &[])), "; in the parent it has since ended");
    assert_eq!(say(holder(Some(Fate::Gone), None, &[])), "; its process has since ended");
}

#[test]
fn places_of_locks() {
    let module = |section: Option<&str>, symbol: Option<&str>, offset| Place::Module {
        path: "/usr/lib/libssl.so.3".into(),
        section: section.map(str::to_owned),
        symbol: symbol.map(str::to_owned),
        offset,
    };
    let say = |at: Place| place(&at, plain());
    assert_eq!(say(module(Some(".bss"), Some("lock"), 0)), "\"lock\" in /usr/lib/libssl.so.3");
    assert_eq!(say(module(Some(".bss"), Some("pool"), 8)), "\"pool\"+0x8 in /usr/lib/libssl.so.3");
    assert_eq!(say(module(Some(".bss"), None, 0)), ".bss+0x0 in /usr/lib/libssl.so.3");
    assert_eq!(say(module(None, None, 16)), "/usr/lib/libssl.so.3+0x10");
    assert_eq!(say(Place::Stack { tid: 7 }), "stack of thread 7");
}

/// The stack of a child of a Python program that uses the `tokenizers` library, as recorded.
#[test]
fn runs_of_library_functions_are_folded_and_generics_shortened() {
    const MODULE: &str = "/srv/venv/lib/python3.11/site-packages/tokenizers/tokenizers.abi3.so";
    let wrapped =
        "<rayon_core::registry::Registry>::in_worker_cold<rayon_core::join::join_context<R>>";
    let stack = [
        frame("syscall", LIBC, None),
        frame("<std::sys::sync::condvar::futex::Condvar>::wait", MODULE, None),
        frame("<rayon_core::latch::LockLatch>::wait_and_reset", MODULE, None),
        frame(&format!("<std::thread::local::LocalKey<L>>::with::<{wrapped}>"), MODULE, None),
        frame("rayon_core::registry::in_worker::<rayon_core::join::Join<A, B>>", MODULE, None),
        frame(
            "<rayon::vec::IntoIter<E> as rayon::iter::Indexed>::with_producer::<P>",
            MODULE,
            None,
        ),
        frame(
            "<alloc::vec::Vec<E> as rayon::iter::ParallelExtend<E>>::par_extend::<I>",
            MODULE,
            None,
        ),
        frame("<tokenizers::TokenizerImpl<M, N, P>>::encode_batch::<I>", MODULE, None),
        frame("<tokenizers::PyTokenizer>::__pymethod_encode_batch__", MODULE, None),
        frame("pyo3::impl_::trampoline::trampoline::<T>", MODULE, None),
        frame("method_vectorcall", PYTHON, None),
        frame("_PyEval_EvalFrameDefault", PYTHON, None),
    ];
    assert_eq!(
        below_python(&stack, 6, plain()),
        "<std::sys::sync::condvar::futex::Condvar>::wait (tokenizers.abi3.so) ← … 4 frames of rayon ← \
         <rayon::vec::IntoIter<…> as rayon::iter::Indexed>::with_producer::<…> (tokenizers.abi3.so) ← \
         <tokenizers::TokenizerImpl<…>>::encode_batch::<…> (tokenizers.abi3.so) ← \
         <tokenizers::PyTokenizer>::__pymethod_encode_batch__ (tokenizers.abi3.so)"
    );
    let ascii = below_python(&stack, 1, Style { ascii: true, ..plain() });
    assert!(ascii.is_ascii() && ascii.contains("... 4 frames of rayon"), "{ascii}");
    assert!(ascii.ends_with("<- ... 1 more"), "{ascii}");
}
