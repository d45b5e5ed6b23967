//! Waits of which this version cannot say who alone could end them. Of a forked process they are told as
//! something of an unknown kind: no finding, and no all-clear either, unless one of those who have the
//! other end is known to run. Of others nothing depends on them.

use forktrace_model::event::stall::{On, ThingKind, User, Way};

use super::{
    files::{self, Info},
    host::Open,
    networks::Found,
    things::{Key, Things, Waiter, Waits, thing},
    users::users,
};
use crate::inspect::{memory, proc_text, scan};

/// Where `struct io_uring_getevents_arg` has the address of a time (`include/uapi/linux/io_uring.h`, Linux 6.18).
const RING_TIME: u64 = 16;

/// Where a task waits that opens a FIFO whose other end nobody has open (`fifo_open` and, where the compiler
/// leaves it alone, `wait_for_partner`; `fs/pipe.c`, Linux 6.18).
const OPENS_FIFO: [&str; 2] = ["wait_for_partner", "fifo_open"];
/// Major numbers of the slaves of pseudo-terminals (`UNIX98_PTY_SLAVE_MAJOR` and the seven behind it,
/// `include/uapi/linux/major.h`, Linux 6.18), each with 256 minor ones.
const SLAVES: std::ops::RangeInclusive<u64> = 136..=143;

/// The end of a pseudo-terminal that a descriptor is of, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terminal {
    Master(u64),
    Slave(u64),
}

impl Things<'_> {
    /// Adds something of an unknown kind, and who may have its other end. `None`: anything could end the
    /// wait.
    pub(super) fn not_understood(
        &mut self,
        waiter: Waiter,
        fd: Option<i32>,
        users: Vec<User>,
        waits: &mut Waits,
    ) -> Option<()> {
        waiter.forked.then_some(())?;
        let key = Key::NotUnderstood(waiter.tid, fd);
        let place = self.place(key, |_| Some(thing(ThingKind::Other, String::new(), users)))?;
        waits.on.push(On { thing: place, fd, way: Way::Read });
        Some(())
    }

    /// A file that is being opened. The kernel tells where: to ask for the file by its path may have to wait
    /// for the same as the task.
    pub(super) fn opened(&mut self, waiter: Waiter, waits: &mut Waits) -> Option<()> {
        let place = proc_text::wait_channel(waiter.pid, waiter.tid);
        OPENS_FIFO.contains(&place.as_str()).then_some(())?;
        self.not_understood(waiter, None, Vec::new(), waits)
    }

    /// A connection that is to be taken: by a process of this host, if the socket is a Unix socket.
    pub(super) fn connected(&mut self, waiter: Waiter, fd: i32, waits: &mut Waits) -> Option<()> {
        let (_, link) = files::link(waiter.pid, waiter.tid, fd)?;
        let files::Link::Socket(inode) = link else { return None };
        let found = self.networks.find(self.host, waiter.pid, inode);
        if found == Found::Outside {
            return None;
        }
        self.not_understood(waiter, Some(fd), Vec::new(), waits)
    }

    /// A Unix socket that nobody can reach by a name, and whose other end nobody is seen to have: it is
    /// connected with none, or with one that was not taken yet.
    pub(super) fn lonely(
        &mut self,
        waiter: Waiter,
        (holder, inode): (u32, u64),
        fd: i32,
        waits: &mut Waits,
    ) -> Option<()> {
        let Found::Known(socket) = self.networks.find(self.host, holder, inode) else {
            return None;
        };
        let has = |peer: u64| !self.host.files().of_inode(peer).is_empty();
        (!socket.peer.is_some_and(has)).then_some(())?;
        self.not_understood(waiter, Some(fd), Vec::new(), waits)
    }

    /// Completions of an io_uring: which requests are under way is not known.
    pub(super) fn ring(&mut self, waiter: Waiter, argument: u64, waits: &mut Waits) -> Option<()> {
        if argument != 0 && memory::word(waiter.pid, argument.checked_add(RING_TIME)?)? != 0 {
            waits.timed = true;
            return Some(());
        }
        self.not_understood(waiter, None, Vec::new(), waits)
    }

    /// A pipe whose other end nobody is seen to have, though it has not come to its end: the end is in a message
    /// of a Unix socket. Who has a socket with such a message may take it out.
    pub(super) fn in_message(
        &mut self,
        waiter: Waiter,
        (inode, way): (u64, Way),
        fd: i32,
        waits: &mut Waits,
    ) -> Option<()> {
        let files = self.host.files();
        let has_other = files.of_inode(inode).iter().any(|open| {
            let ends =
                Info::of(open.pid, open.tid, open.fd).map_or((true, true), |info| info.ends());
            if way == Way::Write { ends.0 } else { ends.1 }
        });
        if has_other || files.is_in_ring(inode) {
            return None;
        }
        let sockets = self.host.with_messages()?;
        let opens: Vec<Open> =
            sockets.iter().flat_map(|socket| files.of_inode(*socket)).copied().collect();
        (!opens.is_empty()).then_some(())?;
        self.not_understood(waiter, Some(fd), users(&opens, |_| (true, true)), waits)
    }

    /// A pseudo-terminal, whose other end programs have. A person is at any other terminal.
    pub(super) fn terminal(
        &mut self,
        waiter: Waiter,
        holder: Waiter,
        (name, fd): (&str, i32),
        waits: &mut Waits,
    ) -> Option<()> {
        let open = Open { pid: holder.pid, tid: holder.tid, fd };
        let other = match terminal(open, name)? {
            Terminal::Master(number) => Terminal::Slave(number),
            Terminal::Slave(number) => Terminal::Master(number),
        };
        let is_other = |open: &&Open| {
            let link = files::link(open.pid, open.tid, open.fd);
            link.is_some_and(|(name, _)| terminal(**open, &name) == Some(other))
        };
        let opens: Vec<Open> =
            self.host.files().at_paths().iter().filter(is_other).copied().collect();
        self.not_understood(waiter, Some(fd), users(&opens, |_| (true, true)), waits)
    }
}

/// The end of a pseudo-terminal that a descriptor is of, by its name. A master tells its number in `fdinfo`
/// (`tty_show_fdinfo`, `drivers/tty/tty_io.c`, Linux 6.18); `/dev/tty` is the terminal of its process.
fn terminal(open: Open, name: &str) -> Option<Terminal> {
    let Open { pid, tid, fd } = open;
    match name {
        "/dev/ptmx" | "/dev/pts/ptmx" => {
            let text = proc_text::small(pid, &format!("{pid}/task/{tid}/fdinfo/{fd}")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("tty-index:"))?;
            line.trim().parse().ok().map(Terminal::Master)
        }
        "/dev/tty" => slave(u64::try_from(scan::stat(pid).ok()?.tty_nr).ok()?),
        _ => name.strip_prefix("/dev/pts/")?.parse().ok().map(Terminal::Slave),
    }
}

/// A slave by the number of its device, as `stat` has it (`new_encode_dev`, `include/linux/kdev_t.h`).
pub(super) fn slave(device: u64) -> Option<Terminal> {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    let block = major.checked_sub(*SLAVES.start()).filter(|_| SLAVES.contains(&major))?;
    Some(Terminal::Slave(block * 256 + minor))
}
