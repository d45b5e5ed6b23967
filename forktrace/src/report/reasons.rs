//! Why a wait is no finding, in words.

use forktrace_model::hazards::Reason;

/// The reason, as the end of a sentence.
pub fn text(reason: Reason) -> &'static str {
    match reason {
        Reason::WaitEnded => "the wait ended while it was sampled",
        Reason::Timed => "the wait has a timeout",
        Reason::NotHarmful => "what is shared is used as it may be meant",
        Reason::OthersCanWake => "somebody who can run could end the wait",
        Reason::SharedMapping => "the word is in memory shared with other processes",
        Reason::SharedMemory => "another process runs in the same memory",
        Reason::NotForked => "the process has no memory of a fork that was observed",
        Reason::UnknownLock => "the kind of lock is unknown",
        Reason::Unreadable => "the memory around the word could not be read",
        Reason::Denied => "something, such as a security module, denies access to the process",
        Reason::UnknownMachine => "the locks of this kind of machine are unknown",
        Reason::FreeAtFork => "the lock was free at the fork",
        Reason::OwnerChanged => "the lock has another owner than at the fork",
        Reason::OwnedByChild => "a thread of the child itself owns the lock",
        Reason::WokenSince => "the child has released the lock since the fork",
        Reason::ReleasedHere => "the child has released or initialised the lock since the fork",
        Reason::StuckWithAnother => {
            "no thread of the process can run: the finding is about another one"
        }
        Reason::Undecided => "nothing proves that the lock was held at the fork",
        Reason::TooLate => "the fork was not observed, and what was held then is unknown",
    }
}
