//! What a call waits for, and who has the other ends of it.

use forktrace_model::event::stall::{On, Runtime, Thing, ThingKind, User, Way};
use rustc_hash::FxHashMap;

use super::{
    Asks,
    call::{Target, Which},
    files::{self, Info, Link, Object, Watched},
    host::{Host, Open, SharedFile, Whose},
    networks::{Found, Networks},
    polled, rings,
    socket_timeout::Timeout,
    sysv,
    users::{add_shutters, are_same, one_who_writes, users},
};

/// How deep epoll instances are looked into that watch each other.
const DEPTH: usize = 3;

/// A thing's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    PrivateWord(u32, u64),
    SharedWord(SharedFile, u64),
    Pipe(u64),
    /// By the inode of the end that is waited for.
    Socket(u64),
    Eventfd(u64),
    Timerfd(u32, i32),
    Epoll(u32, i32),
    Children(u32, Which),
    Lock(String),
    /// By the thread that waits, and its descriptor.
    NotUnderstood(u32, Option<i32>),
    /// Who is expected to raise it depends on who waits.
    Semaphore(u32, i32, u16),
}

/// The task that waits, and where its stack ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) stack: u64,
    pub(super) threads: usize,
    /// It was forked, and runs what its parent ran.
    pub(super) forked: bool,
}

impl Waiter {
    fn opened(self, fd: i32) -> Open {
        Open { pid: self.pid, tid: self.tid, fd }
    }
}

/// What one call waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) timed: bool,
    pub(super) outside: bool,
    pub(super) on: Vec<On>,
}

impl Waits {
    /// Adds what is known of the time for which a call waits for a file.
    pub(super) fn add_timeout(&mut self, timeout: Timeout) {
        match timeout {
            Timeout::None => {}
            Timeout::Some => self.timed = true,
            Timeout::Unknown => self.outside = true,
        }
    }
}

/// The things that were found.
#[derive(Debug)]
pub(super) struct Things<'a> {
    pub(super) host: &'a Host,
    pub(super) all: Vec<Thing>,
    places: FxHashMap<Key, u32>,
    /// The processes that run in the memory of one, itself left out.
    pub(super) sharing: FxHashMap<u32, Vec<u32>>,
    pub(super) runtimes: FxHashMap<u32, Option<Runtime>>,
    asks: Asks,
    pub(super) networks: Networks,
}

impl<'a> Things<'a> {
    pub(super) fn new(host: &'a Host, asks: Asks) -> Self {
        Things {
            host,
            all: Vec::new(),
            places: FxHashMap::default(),
            sharing: FxHashMap::default(),
            runtimes: FxHashMap::default(),
            asks,
            networks: Networks::new(asks.network),
        }
    }

    /// Adds what ends a call to `waits`.
    pub(super) fn add(&mut self, waiter: Waiter, target: Target, waits: &mut Waits) {
        // What else ends it makes no difference.
        if waits.outside {
            return;
        }
        // Not found out: anything could end it.
        let known = match target {
            Target::Word { uaddr, op } => self.word(waiter, uaddr, op, waits),
            Target::Words { array, count } => {
                let op = forktrace_common::futex::OP_WAITV;
                self.each(waiter, polled::words(waiter.pid, array, count, op), waits)
            }
            Target::File(fd, way) => self.file(waiter, waiter, fd, way, waits, 0),
            Target::Polled { array, count } => {
                self.each(waiter, polled::polled(waiter.pid, array, count), waits)
            }
            Target::Selected { count, sets } => {
                self.each(waiter, polled::selected(waiter.pid, count, sets), waits)
            }
            Target::Epoll(fd) => self.epoll(waiter, waiter, fd, waits, 0),
            Target::Children(which) => self.children(waiter, which, waits),
            Target::OfPidfd(fd) => self.file(waiter, waiter, fd, Way::Exit, waits, 0),
            Target::Lock(fd) => self.lock(waiter, fd, waits),
            Target::LockOfOpenFile(fd) => self.lock_of_open_file(waiter, fd, waits),
            Target::Opened => self.opened(waiter, waits),
            Target::Connected(fd) => self.connected(waiter, fd, waits),
            Target::Message => self.not_understood(waiter, None, Vec::new(), waits),
            Target::Ring { argument } => self.ring(waiter, argument, waits),
            Target::Semaphore { set, operations, count } => {
                self.semaphore(waiter, (set, operations, count), waits)
            }
            Target::Outside => None,
        };
        waits.outside |= known.is_none();
    }

    fn are_all(&self, users: &[User]) -> bool {
        self.host.are_all(users.iter().map(|user| user.pid), Whose::Files)
    }

    fn each(
        &mut self,
        waiter: Waiter,
        targets: Option<Vec<Target>>,
        waits: &mut Waits,
    ) -> Option<()> {
        let mut targets = targets?;
        targets.sort_by_cached_key(|target| match target {
            Target::File(fd, _) => is_costly(waiter, *fd),
            _ => true,
        });
        for target in targets {
            self.add(waiter, target, waits);
        }
        Some(())
    }

    /// The place of a thing, which is made if it is new.
    pub(super) fn place(
        &mut self,
        key: Key,
        make: impl FnOnce(&Self) -> Option<Thing>,
    ) -> Option<u32> {
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        let mut thing = make(self)?;
        thing.users.sort_by_key(|user| user.pid);
        let place = u32::try_from(self.all.len()).ok()?;
        self.all.push(thing);
        self.places.insert(key, place);
        Some(place)
    }

    /// A System V semaphore that is too small.
    fn semaphore(
        &mut self,
        waiter: Waiter,
        call: (i32, u64, u64),
        waits: &mut Waits,
    ) -> Option<()> {
        let (host, pid, set) = (self.host, waiter.pid, call.0);
        let (number, semaphore) = sysv::waited(pid, call, host, self.asks.semaphore)?;
        let place = self.place(Key::Semaphore(pid, set, number), |_| {
            let users = sysv::raisers(pid, semaphore, host).into_iter().map(one_who_writes);
            let name = format!("semaphore:[{set}:{number}]");
            let thing = thing(ThingKind::SysvSemaphore, name, users.collect());
            Some(Thing { semaphore: Some(semaphore), ..thing })
        })?;
        waits.on.push(On { thing: place, fd: None, way: Way::Release });
        Some(())
    }

    /// A file descriptor of `holder`, whose file the waiter waits for.
    fn file(
        &mut self,
        waiter: Waiter,
        holder: Waiter,
        fd: i32,
        way: Way,
        waits: &mut Waits,
        depth: usize,
    ) -> Option<()> {
        let (name, link) = files::link(holder.pid, holder.tid, fd)?;
        let place = match link {
            Link::Pipe(inode) => match self.pipe(name, inode, way) {
                Some(place) => place,
                None => return self.in_message(waiter, (inode, way), fd, waits),
            },
            Link::Socket(inode) => match self.socket(holder.pid, name, inode, way) {
                Some(place) => place,
                None => return self.lonely(waiter, (holder.pid, inode), fd, waits),
            },
            Link::Kernel(Object::Eventfd) => self.eventfd(holder, name, fd)?,
            Link::Kernel(Object::Timerfd) => {
                if Info::of(holder.pid, holder.tid, fd)?.armed? {
                    waits.timed = true;
                    return Some(());
                }
                self.timerfd(holder, name, fd)?
            }
            Link::Kernel(Object::Epoll) => {
                return self.epoll(waiter, holder, fd, waits, depth + 1);
            }
            Link::Kernel(Object::Pidfd) => {
                let pid = Info::of(holder.pid, holder.tid, fd)?.pid.filter(|pid| *pid != 0)?;
                let place = self.end_of(waiter.pid, name, pid)?;
                waits.on.push(On { thing: place, fd: Some(fd), way: Way::Exit });
                return Some(());
            }
            Link::Path => return self.terminal(waiter, holder, (&name, fd), waits),
            Link::Kernel(Object::Ring | Object::Signaller | Object::Other) | Link::Other => {
                return None;
            }
        };
        waits.on.push(On { thing: place, fd: Some(fd), way });
        Some(())
    }

    /// A pipe without any other end would have come to its end: somebody has it who cannot be seen.
    fn pipe(&mut self, name: String, inode: u64, way: Way) -> Option<u32> {
        let files = self.host.files();
        let place = self.place(Key::Pipe(inode), |own| {
            let users = users(files.of_inode(inode), |open| {
                Info::of(open.pid, open.tid, open.fd).map_or((true, true), |info| info.ends())
            });
            let in_kernel = files.is_in_ring(inode) || own.host.is_of_a_mount(inode);
            let known = own.are_all(&users) && !in_kernel;
            known.then(|| thing(ThingKind::Pipe, name, users))
        })?;
        let thing = self.all.get(place as usize)?;
        let mut others = thing.users.iter();
        others.any(|user| if way == Way::Write { user.reads } else { user.writes }).then_some(place)
    }

    fn socket(&mut self, holder: u32, name: String, inode: u64, way: Way) -> Option<u32> {
        let socket = match self.networks.find(self.host, holder, inode) {
            Found::Known(socket) => socket,
            Found::Unknown => {
                let unknown = |_: &Self| Some(thing(ThingKind::Other, name, Vec::new()));
                return self.place(Key::Socket(inode), unknown);
            }
            Found::Outside => return self.connection(holder, name, inode, way),
        };
        let peer = socket.peer?;
        let unnamed = |found| matches!(found, Found::Known(peer) if !peer.named);
        let by_name = socket.named || !unnamed(self.networks.find(self.host, holder, peer));
        let files = self.host.files();
        self.place(Key::Socket(inode), |own| {
            let mut users = users(files.of_inode(peer), |_| (true, true));
            let has_peer = !users.is_empty();
            add_shutters(&mut users, files.of_inode(inode));
            let known = own.are_all(&users) && has_peer && !files.is_in_ring(peer);
            known.then(|| Thing { by_name, ..thing(ThingKind::UnixSocket, name, users) })
        })
    }

    /// A TCP connection with a process of this host. What was sent already may yet arrive.
    fn connection(&mut self, holder: u32, name: String, inode: u64, way: Way) -> Option<u32> {
        let peer = self.networks.tcp_peer(holder, inode)?;
        let files = self.host.files();
        let known = way == Way::Write || !peer.sends;
        let make = |own: &Self| {
            let mut users = users(files.of_inode(peer.inode), |_| (true, true));
            let has_peer = !users.is_empty();
            add_shutters(&mut users, files.of_inode(inode));
            let known = own.are_all(&users) && has_peer && !files.is_in_ring(peer.inode);
            known.then(|| thing(ThingKind::TcpSocket, name, users))
        };
        known.then(|| self.place(Key::Socket(inode), make)).flatten()
    }

    fn eventfd(&mut self, holder: Waiter, name: String, fd: i32) -> Option<u32> {
        let number = Info::of(holder.pid, holder.tid, fd)?.eventfd?;
        let files = self.host.files();
        self.place(Key::Eventfd(number), |own| {
            let same = files.of_kind(Object::Eventfd).iter().filter(|open| {
                let info = Info::of(open.pid, open.tid, open.fd);
                match info {
                    Some(info) => info.eventfd == Some(number),
                    // It may have been closed meanwhile.
                    None => files::link(open.pid, open.tid, open.fd).is_some(),
                }
            });
            let same: Vec<Open> = same.copied().collect();
            let users = users(&same, |_| (true, true));
            // The kernel may write to it in their name.
            let [rings, others] = [Object::Ring, Object::Signaller].map(|kind| files.of_kind(kind));
            let mut signallers = rings.iter().chain(others);
            let signalled = files.has_in_ring(Object::Eventfd)
                || signallers.any(|open| users.iter().any(|user| user.pid == open.pid))
                || users.iter().any(|user| rings::has_aio(user.pid));
            let known = own.are_all(&users) && !users.is_empty() && !signalled;
            known.then(|| thing(ThingKind::Eventfd, name, users))
        })
    }

    /// A timer that is not armed: who has it may arm it.
    fn timerfd(&mut self, holder: Waiter, name: String, fd: i32) -> Option<u32> {
        let files = self.host.files();
        self.place(Key::Timerfd(holder.pid, fd), |own| {
            let like = |open: &Open| open.fd == fd || open.pid == holder.pid;
            let same =
                |open: &&Open| are_same(holder.opened(fd), **open).unwrap_or_else(|| like(open));
            let same: Vec<Open> =
                files.of_kind(Object::Timerfd).iter().filter(same).copied().collect();
            let users = users(&same, |_| (true, true));
            let known = own.are_all(&users) && !users.is_empty();
            known.then(|| thing(ThingKind::Eventfd, name, users))
        })
    }

    /// What an epoll instance watches, and the instance itself: who has it may add files.
    fn epoll(
        &mut self,
        waiter: Waiter,
        holder: Waiter,
        fd: i32,
        waits: &mut Waits,
        depth: usize,
    ) -> Option<()> {
        let (name, link) = files::link(holder.pid, holder.tid, fd)?;
        let is_one = link == Link::Kernel(Object::Epoll);
        let info = Info::of(holder.pid, holder.tid, fd).filter(|_| is_one && depth < DEPTH)?;
        (info.watched.len() <= polled::MOST).then_some(())?;
        let mut all = info.watched.clone();
        all.sort_by_cached_key(|watched| is_costly(holder, watched.fd));
        for watched in all {
            self.watched(waiter, holder, watched, waits, depth)?;
        }
        let files = self.host.files();
        let place = self.place(Key::Epoll(holder.pid, fd), |own| {
            let alike = |open: Open| {
                let other = Info::of(open.pid, open.tid, open.fd);
                other.is_none_or(|other| other.watched == info.watched)
            };
            let same =
                |open: &&Open| are_same(holder.opened(fd), **open).unwrap_or_else(|| alike(**open));
            let same: Vec<Open> =
                files.of_kind(Object::Epoll).iter().filter(same).copied().collect();
            let users = users(&same, |_| (true, true));
            own.are_all(&users).then(|| thing(ThingKind::Epoll, name, users))
        })?;
        waits.on.push(On { thing: place, fd: Some(fd), way: Way::Read });
        Some(())
    }

    /// A file that is watched by the number that it had when it was added: the number may be another
    /// file's by now, or nobody's in this process.
    fn watched(
        &mut self,
        waiter: Waiter,
        holder: Waiter,
        watched: Watched,
        waits: &mut Waits,
        depth: usize,
    ) -> Option<()> {
        let info = Info::of(holder.pid, holder.tid, watched.fd);
        let own = info.is_some_and(|info| {
            watched.inode.is_none() || info.inode.is_none() || info.inode == watched.inode
        });
        let (holder, fd) = match own {
            true => (holder, watched.fd),
            false => {
                let Open { pid, tid, fd } = *self.host.files().of_inode(watched.inode?).first()?;
                (Waiter { pid, tid, ..holder }, fd)
            }
        };
        for way in watched.ways() {
            self.file(waiter, holder, fd, way, waits, depth)?;
        }
        Some(())
    }

    /// The end of any of a process's children. Those that its other threads may yet make count too.
    fn children(&mut self, waiter: Waiter, which: Which, waits: &mut Waits) -> Option<()> {
        let Waiter { pid, threads, .. } = waiter;
        // It is told of the stops of others too.
        if self.host.traces(pid) {
            return None;
        }
        let host = self.host;
        let place = self.place(Key::Children(pid, which), |_| {
            let own = host.processes().get(&pid)?.group;
            let wanted = |(child, process): &(u32, super::host::Process)| match which {
                Which::Any => true,
                Which::Pid(wanted) => ns_pids(*child).contains(&wanted),
                Which::Group(0) => process.group == own,
                Which::Group(_) => true,
            };
            let mut pids: Vec<u32> =
                host.children(pid).filter(wanted).map(|(pid, _)| pid).collect();
            if pids.is_empty() {
                return None;
            }
            let may_make_more = threads > 1 && !matches!(which, Which::Pid(_));
            pids.extend(may_make_more.then_some(pid));
            let users = pids.into_iter().map(one_who_writes).collect();
            Some(thing(ThingKind::Children, String::new(), users))
        })?;
        waits.on.push(On { thing: place, fd: None, way: Way::Exit });
        Some(())
    }

    /// The end of the process of a pidfd, which need not be a child.
    fn end_of(&mut self, waiter: u32, name: String, pid: u32) -> Option<u32> {
        self.host.processes().get(&pid).filter(|process| !process.ended)?;
        let users = vec![one_who_writes(pid)];
        let make = |_: &Self| Some(thing(ThingKind::Children, name, users));
        self.place(Key::Children(waiter, Which::Pid(pid)), make)
    }

    /// A lock on a file: whoever has the open file by which it was taken may release it, and a lock of a
    /// process itself that process.
    fn lock(&mut self, waiter: Waiter, fd: i32, waits: &mut Waits) -> Option<()> {
        self.lock_of(waiter, fd, Some(waiter.pid), waits)
    }

    /// A lock that belongs to an open file. `/proc/locks` names neither who waits for it nor who has it, but
    /// each `fdinfo` has the locks of its open file (`__show_fd_locks`, `fs/locks.c`, Linux 6.18).
    fn lock_of_open_file(&mut self, waiter: Waiter, fd: i32, waits: &mut Waits) -> Option<()> {
        self.lock_of(waiter, fd, None, waits)
            .or_else(|| self.not_understood(waiter, Some(fd), Vec::new(), waits))
    }

    /// `by`: whom the kernel names as the one who waits.
    fn lock_of(
        &mut self,
        waiter: Waiter,
        fd: i32,
        by: Option<u32>,
        waits: &mut Waits,
    ) -> Option<()> {
        let (name, _) = files::link(waiter.pid, waiter.tid, fd)?;
        let inode = Info::of(waiter.pid, waiter.tid, fd)?.inode?;
        let host = self.host;
        let of_file = format!(":{inode}");
        let own = |lock: &&super::file_locks::FileLock| lock.waits && lock.pid == by;
        let waited = host.locks().iter().filter(own).find(|lock| lock.file.ends_with(&of_file))?;
        let file = waited.file.clone();
        let files = host.files();
        let place = self.place(Key::Lock(file.clone()), |own| {
            let holds = |open: &&Open| {
                let info = Info::of(open.pid, open.tid, open.fd);
                info.is_some_and(|info| info.locks.contains(&file))
            };
            let holders: Vec<Open> = files.at_paths().iter().filter(holds).copied().collect();
            let mut found = users(&holders, |_| (false, true));
            if found.is_empty() {
                let held = host.locks().iter().filter(|lock| !lock.waits && lock.file == file);
                found.extend(held.filter_map(|lock| lock.pid).map(one_who_writes));
            }
            let known = own.are_all(&found) && !found.is_empty();
            known.then(|| thing(ThingKind::FileLock, name, found))
        })?;
        waits.on.push(On { thing: place, fd: Some(fd), way: Way::Release });
        Some(())
    }
}

/// Whether it takes a look at all processes to say who could do something with a file. Others first: mostly
/// one of them shows that something that is no task could end the wait.
fn is_costly(holder: Waiter, fd: i32) -> bool {
    let link = files::link(holder.pid, holder.tid, fd).map(|(_, link)| link);
    matches!(link, Some(Link::Pipe(_) | Link::Kernel(_)))
}

/// The numbers of a process in its pid namespace and all above.
pub(super) fn ns_pids(pid: u32) -> Vec<u32> {
    let text = crate::inspect::proc_text::small(pid, &format!("{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|number| number.parse().ok()).chain([pid]).collect()
}

pub(super) fn thing(kind: ThingKind, name: String, users: Vec<User>) -> Thing {
    Thing { kind, name, users, ..Thing::default() }
}
