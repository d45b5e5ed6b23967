//! Memory around a futex word, for the decoders of locks.

use arbitrary::{Arbitrary as _, Result, Unstructured};

use forktrace_model::{
    arch::Machine,
    event::{AtFork, Libc, Mapping, Place, Wait, Window, stacks::Frame},
    locks::{self, Code, Reading, Scene, State},
};

/// Most bytes of a window.
const MOST: usize = 256;

/// Any memory: no decoder fails, and none says of memory that it has not seen what was in it.
pub fn locks(data: &[u8]) {
    // Too few bytes make nothing.
    let _ = scene(Unstructured::new(data));
}

/// A wait for a word soon after `start`.
fn wait(u: &mut Unstructured<'_>, start: u64) -> Result<Wait> {
    Ok(Wait {
        enter_ns: 1,
        uaddr: start.wrapping_add(u64::from(u8::arbitrary(u)?)),
        op: match u8::arbitrary(u)? % 8 {
            0 => u32::arbitrary(u)?,
            1 => forktrace_common::futex::OP_WAITV,
            2 => forktrace_common::futex::OP_WAIT_SYSCALL,
            3 => 0,
            4 => 0x80,
            5 => 0x86,
            6 => 0x189,
            _ => 0x89,
        },
        val: u64::arbitrary(u)?,
        ..Wait::default()
    })
}

fn scene(mut unstructured: Unstructured<'_>) -> Result<()> {
    let u = &mut unstructured;
    let machine = Machine::default();
    let start = match u8::arbitrary(u)? % 8 {
        0 => u64::MAX - 64,
        1 => 0,
        2 => machine.arch.address_limit - 64,
        _ => 0x7f00_0000_1000,
    };
    let wait = wait(u, start)?;
    let libc = *u.choose(&[None, Some(Libc::Glibc), Some(Libc::Musl), Some(Libc::Glibc)])?;
    let mapping = mapping(u)?;
    let module =
        *u.choose(&[None, Some("/lib/libc.so.6"), Some("/bin/x"), Some("/libpython3.13.so")])?;
    let target_at = 0x7f00_0000_2000;
    let known = u8::arbitrary(u)?;
    let length = usize::from(u8::arbitrary(u)?);
    let elsewhere = bytes(u, length)?;
    let now = Window { address: start, bytes: bytes(u, MOST)? };
    // Mostly as it was: what differs is what follows.
    let mut then = now.clone();
    for (was, other) in then.bytes.iter_mut().zip(unstructured.take_rest()) {
        *was ^= other;
    }
    let target = (known & 2 != 0).then(|| Place {
        address: locks::target(&wait, &now, machine).unwrap_or(target_at),
        mapping: mapping.clone(),
        now: Some(Window { address: target_at, bytes: elsewhere.clone() }),
        python_type: None,
        owner: None,
        at_fork: match known & 4 {
            0 => AtFork::default(),
            _ => AtFork::Known(Window { address: target_at, bytes: elsewhere.clone() }),
        },
    });
    let frames = frames(known >> 3);
    let mut scene = Scene {
        machine,
        wait: &wait,
        mapping: mapping.as_ref(),
        now: &now,
        at_fork: (known & 1 != 0).then_some(&then),
        module,
        libc,
        target: target.as_ref(),
        code: Code { frames: frames.as_deref(), ..Code::default() },
    };
    for reading in [locks::read(&scene), locks::read_event(&scene)].into_iter().flatten() {
        check(&reading);
    }
    (scene.at_fork, scene.target) = (None, None);
    for reading in [locks::read(&scene), locks::read_event(&scene)].into_iter().flatten() {
        check(&reading);
        let claims = matches!(reading.at_fork, State::Held { .. } | State::Free);
        assert!(!claims && reading.value_at_fork.is_none(), "of unseen memory: {reading:?}");
    }
    Ok(())
}

/// The stack of some library's wait, or none.
fn frames(which: u8) -> Option<Vec<Frame>> {
    const LIBC: &str = "/lib/libc.so.6";
    const GLIB: &str = "/lib/libglib-2.0.so.0";
    let frames: &[(&str, &str)] = match which % 8 {
        0..3 => return None,
        3 => &[(LIBC, "syscall"), (GLIB, "")],
        4 => &[(LIBC, "syscall"), (GLIB, "g_bit_lock")],
        5 => &[("/bin/x", "runtime.futex"), ("/bin/x", "runtime.lock2")],
        6 => &[(LIBC, "__lll_lock_wait_private")],
        _ => &[],
    };
    let frame = |(module, symbol): &(&str, &str)| Frame {
        module: Some((*module).into()),
        symbol: Some((*symbol).into()),
        ..Frame::default()
    };
    Some(frames.iter().map(frame).collect())
}

fn check(reading: &Reading) {
    super::checks::terminal(crate::report::lock_words::detail(&reading.word).as_bytes(), false);
}

fn mapping(u: &mut Unstructured<'_>) -> Result<Option<Mapping>> {
    let path = *u.choose(&["", "[heap]", "/bin/x", "/memfd:x", "[stack]"])?;
    let shared = u8::arbitrary(u)? % 8 == 0;
    Ok((u8::arbitrary(u)? % 8 != 0).then(|| Mapping {
        start: 0x7f00_0000_0000,
        end: 0x7f00_0001_0000,
        perms: if shared { "rw-s".into() } else { "rw-p".into() },
        shared,
        path: path.into(),
        offset: 0,
    }))
}

fn bytes(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    Ok(u.bytes(most.min(u.len()))?.to_vec())
}
