#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{sync::mpsc, time::Duration};

use super::*;

/// A kernel that shows no registers.
struct Blind;

impl TaskRegisters for Blind {
    fn candidates(&self, _tid: u32) -> Result<Vec<Registers>, String> {
        Err("not shown".into())
    }
}

fn at(ip: u64, sp: u64, frame: u64) -> Registers {
    Registers { ip, sp, frame, ..Registers::default() }
}

#[test]
fn registers_are_chosen_by_place_and_never_guessed() {
    let others = vec![at(1, 2, 9), at(3, 4, 5), at(3, 8, 7)];
    assert_eq!(choose(Ok(others.clone()), 3, 4), Ok(at(3, 4, 5)));
    assert!(choose(Ok(others.clone()), 7, 7).is_err());
    let twins = [others.clone(), vec![at(3, 4, 5)]].concat();
    assert_eq!(choose(Ok(twins), 3, 4), Ok(at(3, 4, 5)));
    let rivals = [others, vec![at(3, 4, 6)]].concat();
    assert!(choose(Ok(rivals), 3, 4).is_err());
    assert!(choose(Err("not shown".into()), 3, 4).is_err());
}

#[test]
fn inherited_memory_is_known_only_where_it_was_kept_or_not_written() {
    let own = Box::new([7u8; 4 * PAGE_SIZE]);
    let start = (std::ptr::from_ref(own.as_ref()).addr() as u64).next_multiple_of(PAGE_SIZE as u64);
    let page = |number: u64| start + number * PAGE_SIZE as u64;
    let kept = BTreeMap::from([
        (page(0), Ok([1; PAGE_SIZE])),
        (page(1), Err(Missing::NoFault)),
        (page(2), Err(Missing::LimitReached)),
    ]);
    let mut pages = Pages::inherited(std::process::id(), kept);
    assert_eq!(pages.long(page(0)), Some(0x0101_0101_0101_0101));
    assert_eq!(pages.long(page(1)), Some(0x0707_0707_0707_0707), "not written since");
    assert_eq!(pages.long(page(1) - 4), Some(0x0707_0707_0101_0101), "across two pages");
    assert_eq!(pages.long(page(2)), None, "written, and not kept");
    assert_eq!(pages.long(page(2) - 4), None);
    assert_eq!(pages.long(page(3)), None, "beyond what was looked at");
    assert_eq!(pages.long(u64::MAX - 2), None);
}

#[test]
fn a_blocked_thread_without_registers_is_walked_as_far_as_tables_lead() {
    let (tell, told) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(u32::try_from(nix::unistd::gettid().as_raw()).unwrap()).unwrap();
        held.recv().unwrap_or(());
    });
    let (pid, tid) = (std::process::id(), told.recv().unwrap());
    for _ in 0..2000 {
        if position(pid, tid).is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let local = 0u32;
    let uaddr = std::ptr::from_ref(&local).addr() as u64;
    let ask = Ask {
        task: Task { pid, tid, comm: String::new() },
        threads: vec![tid],
        uaddr,
        lock: uaddr,
        takers: vec![read as fn(Ask, Blind) -> NativeStacks as usize as u64 + 1],
        returns: BTreeMap::new(),
        around: Some((uaddr, 4)),
        fork: Err("no fork".into()),
        parent: Some(pid),
        holder_is_named: true,
        holders: vec![TaskNow { pid, tid, fate: Fate::Exited, ..TaskNow::default() }],
        lost: vec![tid, 1 << 30],
        beside: vec![tid, 1 << 30],
    };
    let native = read(ask, Blind);
    drop(release);
    thread.join().unwrap();
    assert!(native.stack.cut.is_some(), "it says that something is missing");
    assert!(native.stack.frames.len() > 1, "{:?}", native.stack);
    let inner = native.stack.frames.first().unwrap();
    assert!(inner.module.as_ref().is_some_and(|module| module.contains("libc")), "{inner:?}");
    assert!(inner.build_id.is_some() && inner.offset.is_some());
    assert_eq!(native.fork, Stack::missing("no fork"));
    assert_eq!(native.lock, native.word);
    let taker = native.takers.last().and_then(|frame| frame.symbol.as_deref());
    assert!(taker.is_some_and(|name| name.contains("stacks::read")), "{taker:?}");
    assert_eq!(native.in_parent, Some(Window { address: uaddr, bytes: vec![0; 4] }));
    assert_eq!(native.holders[0].stack, Stack::default(), "who has ended has no stack");
    let named: Vec<_> = native.names.iter().map(|thread| thread.tid).collect();
    assert_eq!(named, [tid], "who lives has a name");
    let [beside, gone] = native.beside.as_slice() else { panic!("{:?}", native.beside) };
    assert_eq!(beside.tid, tid);
    assert!(beside.code.len() > 1 && beside.code[0].module == inner.module, "{beside:?}");
    assert!(gone.code.is_empty() && gone.cut.is_some(), "not to be taken for one without code");
}

#[test]
fn a_process_that_is_gone_has_no_stack() {
    let ask = Ask {
        task: Task { pid: 1 << 30, tid: 1 << 30, comm: String::new() },
        threads: vec![1 << 30],
        uaddr: 16,
        lock: 16,
        takers: Vec::new(),
        returns: BTreeMap::new(),
        around: None,
        fork: Err("no fork".into()),
        parent: None,
        holder_is_named: true,
        holders: Vec::new(),
        lost: Vec::new(),
        beside: Vec::new(),
    };
    let native = read(ask, Blind);
    assert!(native.stack.frames.is_empty() && native.stack.cut.is_some());
    assert_eq!(native.word, None);
}

#[test]
fn a_stack_that_leads_nowhere_ends_with_a_word_why() {
    let pid = std::process::id();
    let mut space = Space::of(pid, &space::Images::default()).unwrap();
    let code = a_process_that_is_gone_has_no_stack as fn() as usize as u64;
    let walk = unwind::walk(&mut space, &at(code + 1, 0x1000, 0x1000), &mut |_| None);
    assert_eq!(walk.addresses.len(), 1);
    assert!(walk.cut.is_some());
    let walk = unwind::walk(&mut space, &at(8, 0x1000, 0x1000), &mut |_| Some(0x10));
    assert!(walk.addresses.is_empty());
    assert!(walk.cut.unwrap().contains("no code"));
    // A stack whose every word leads back into the same function never ends by itself.
    let walk = unwind::walk(&mut space, &at(code + 1, 0x1000, 0x1000), &mut |_| Some(code + 1));
    assert!(walk.addresses.len() <= 64 && walk.cut.is_some());
}
