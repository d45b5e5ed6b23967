//! The rows about epoll instances and files that several processes have as one.

use forktrace_model::{
    finding::{DescriptorClass, DescriptorDetail, DescriptorUser, Fact, Finding, Rule},
    text::plural,
};

/// What a process did with it.
pub(super) fn used(class: DescriptorClass, user: &DescriptorUser) -> String {
    let bytes = |number| plural(number, "byte", "bytes");
    match (class, user.receives, user.sends) {
        (DescriptorClass::Epoll, 0, _) => "changed it".into(),
        (DescriptorClass::Epoll, looks, _) => {
            format!("waited on it in {}", plural(looks, "look", "looks"))
        }
        (_, read, 0) => format!("read at least {}", bytes(read)),
        (_, 0, written) => format!("wrote at least {}", bytes(written)),
        (_, read, written) => format!("read at least {} and wrote {}", bytes(read), bytes(written)),
    }
}

/// The consequence, in a user's words; `None`: it is a connection.
pub(super) fn leads_to(finding: &Finding, shared: &DescriptorDetail) -> Option<&'static str> {
    Some(match shared.class {
        DescriptorClass::Connection => return None,
        DescriptorClass::File if finding.has(Rule::OnlyWritten) => {
            "what the processes write follows each other in the file, in an order that nobody chose: lines \
             and records may be mixed"
        }
        DescriptorClass::File => {
            "the file has one offset: what one process reads, the others skip, so that each gets only a \
             part of it"
        }
        DescriptorClass::Epoll if finding.has(Rule::EpollChanged) => {
            "the process that waits gets no more events for that file, although data is there: it seems \
             to sleep"
        }
        DescriptorClass::Epoll if finding.has(Rule::EpollOfOne) => {
            "events of one process wake the other, which has another file by that number, or none: it \
             spins, or handles the wrong connection, and the first one sleeps on"
        }
        DescriptorClass::Epoll => {
            "an event goes to whichever process comes first: wake-ups, timers and data reach a process \
             that does not expect them, and the other sleeps on"
        }
    })
}

/// A rule about an epoll instance or a file, in words.
pub(super) fn proof(fact: &Fact) -> String {
    match fact {
        Fact::SameOpenFile {} => "it is one open file (kcmp)".into(),
        Fact::OffsetMovedByBoth { both, turns } => offset(*both, *turns),
        Fact::WaitOnOneEpoll { waiters } => {
            format!("{waiters} processes were seen to wait on it, each more than once")
        }
        Fact::EpollOfOne { fd, pid, missing } => format!(
            "it watches a file that process {pid} has as file descriptor {fd}, and process {missing} \
             does not have"
        ),
        Fact::EpollChanged { fd, by, pid } => format!(
            "process {by} took file descriptor {fd} out of it while process {pid}, which still has the \
             file open, slept in a wait on it"
        ),
        Fact::OnlyListening {} => {
            "it watches only sockets that listen, which any of the processes can serve".into()
        }
        Fact::OnlyWritten {} => "no two of them were seen to read it".into(),
        Fact::HeldElsewhere {} => {
            "a process that has run another program since has it open too, and may have moved its offset"
                .into()
        }
        _ => String::new(),
    }
}

fn offset(both: u32, turns: u32) -> String {
    let mut text = "more than one process moved its offset".to_owned();
    if both > 0 {
        let pairs = plural(both.into(), "pair of looks", "pairs of looks");
        text.push_str(&format!(", several at once between {pairs}"));
    }
    if turns > 0 {
        text.push_str(&format!(", {} in turns", plural(turns.into(), "time", "times")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_did_is_said_by_what_is_shared() {
        let user =
            |receives, sends| DescriptorUser { receives, sends, ..DescriptorUser::default() };
        let said = |class, receives, sends| used(class, &user(receives, sends));
        assert_eq!(said(DescriptorClass::Epoll, 1, 0), "waited on it in 1 look");
        assert_eq!(said(DescriptorClass::Epoll, 0, 0), "changed it");
        assert_eq!(said(DescriptorClass::File, 0, 1), "wrote at least 1 byte");
        assert_eq!(said(DescriptorClass::File, 9, 0), "read at least 9 bytes");
    }
}
