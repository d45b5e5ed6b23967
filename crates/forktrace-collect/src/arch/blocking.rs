//! What the system calls that block wait for.

/// What a system call waits for, and where its arguments say so. A call that is none of these waits for
/// something that no task does, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// For data from the first argument, a file descriptor.
    Read,
    /// For room in the first argument, a file descriptor.
    Write,
    /// `recvmmsg`: like [`Blocking::Read`], with a timeout in the fifth argument.
    ReadMany,
    /// `splice`: for data from the first argument or room in the third one.
    Splice,
    /// `poll`: an array, its length, milliseconds.
    Poll,
    /// `ppoll`: an array, its length, a time.
    PollTime,
    /// `select` and `pselect6`: the highest descriptor plus one, three sets, a time.
    Select,
    /// `epoll_wait` and `epoll_pwait`: an instance, in the fourth argument milliseconds.
    Epoll,
    /// `epoll_pwait2`: an instance, in the fourth argument a time.
    EpollTime,
    /// `wait4`: a pid, as waitpid(2) has it.
    Wait,
    /// `waitid`: a kind of number and a number.
    WaitId,
    /// `flock`: a file descriptor.
    Flock,
    /// `fcntl`: a file descriptor and a command, which may be to wait for a lock.
    Fcntl,
    /// `vfork`: for the child to exec or end.
    Vfork,
    /// `clone`: the same, if its flags in the first argument say so.
    Clone,
    /// `clone3`: the same, if its flags in memory say so.
    Clone3,
    /// `semop`: a set of semaphores, an array of operations, its length.
    Semop,
    /// `semtimedop`: the same, in the fourth argument a time.
    SemopTime,
    /// `open` and its like: for somebody who opens the other end, if it is a FIFO.
    Open,
    /// `connect`: the first argument, a file descriptor, for its peer to take the connection.
    Connect,
    /// `msgrcv`, `msgsnd`: for a message in a queue, or for room.
    Message,
    /// `mq_timedreceive`, `mq_timedsend`: the same, in the fifth argument a time.
    MessageTime,
    /// `nanosleep`, `clock_nanosleep`: for its time to be over.
    Sleep,
    /// `io_uring_enter`: for so many completions as the third argument says, if the flags in the fourth say so.
    Ring,
}
