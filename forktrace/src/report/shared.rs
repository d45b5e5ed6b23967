//! The rows about what several processes use.

use forktrace_model::{
    finding::{Confidence, DescriptorClass, DescriptorDetail, DescriptorUser, Fact, Finding},
    text::plural,
};

use super::{Clock, Style, duration, shared_files};

/// Most processes that the first line names, and that have a row.
const NAMES: usize = 3;
const USERS: usize = 6;

/// What is wrong, in one sentence.
pub(super) fn headline(finding: &Finding, shared: &DescriptorDetail, style: Style) -> String {
    let users: Vec<&DescriptorUser> = shared.users.iter().collect();
    let names: Vec<String> = users.iter().take(NAMES).map(|user| name(user, style)).collect();
    let who = match (names.as_slice(), users.len().saturating_sub(NAMES)) {
        ([one, other], _) => format!("{one} and {other} both"),
        ([names @ .., last], 0) => format!("{} and {last} all", names.join(", ")),
        (names, more) => format!("{} and {more} more all", names.join(", ")),
    };
    let all = if users.len() == 2 { "both" } else { "all" };
    match finding.confidence {
        Confidence::Certain | Confidence::Likely => format!("{who} use {}", what(shared, style)),
        Confidence::Suspect => {
            let who = who.strip_suffix(all).unwrap_or(&who).trim_end().to_owned();
            format!("{who} may both use {}", what(shared, style))
        }
    }
}

fn name(user: &DescriptorUser, style: Style) -> String {
    format!("{}[{}]", style.clean(&user.comm), user.pid)
}

/// What is shared, in words.
pub(super) fn what(shared: &DescriptorDetail, style: Style) -> String {
    let name = style.clean(&shared.name);
    let tls = if shared.tls { "TLS " } else { "" };
    match (shared.class, name.is_empty()) {
        (DescriptorClass::Connection, false) => format!("one {tls}connection to {name}"),
        (DescriptorClass::Connection, true) => format!("one {tls}connection"),
        (DescriptorClass::Epoll, _) => "one epoll instance".into(),
        (DescriptorClass::File, _) => format!("one open file {name}"),
    }
}

/// Label and text of the rows: what each process did.
pub(super) fn rows(
    finding: &Finding,
    shared: &DescriptorDetail,
    style: Style,
    clock: &Clock,
) -> Vec<(&'static str, String)> {
    let mut rows = uses(finding, shared, style);
    if shared.since_ns > 0 {
        rows.push(("since", clock.time(shared.since_ns)));
    }
    rows.push(("leads to", leads_to(finding, shared).into()));
    rows
}

/// What each process did.
pub(super) fn uses(
    finding: &Finding,
    shared: &DescriptorDetail,
    style: Style,
) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut label = "used by";
    let since = match finding.fork_site() {
        Some(_) => "since the fork",
        None => "while it was traced",
    };
    for user in shared.users.iter().take(USERS) {
        rows.push((label, used(shared.class, user, since, style)));
        label = "";
    }
    if let Some(hidden) = shared.users.len().checked_sub(USERS).filter(|hidden| *hidden > 0) {
        rows.push((label, format!("… {hidden} more")));
    }
    rows
}

fn used(class: DescriptorClass, user: &DescriptorUser, since: &str, style: Style) -> String {
    let fd = user.fd.map_or(String::new(), |fd| format!(", fd {fd}"));
    let ended = if user.ended { "; it has ended" } else { "" };
    let name = name(user, style);
    if class != DescriptorClass::Connection {
        return format!("{name}{fd}: {}{ended}", shared_files::used(class, user));
    }
    let sent = plural(user.sends, "time", "times");
    let received = plural(user.receives, "time", "times");
    format!("{name}{fd}: sent {sent} and received {received} {since}{ended}")
}

/// The consequence, in a user's words.
fn leads_to(finding: &Finding, shared: &DescriptorDetail) -> &'static str {
    use forktrace_model::finding::Rule;
    if let Some(leads_to) = shared_files::leads_to(finding, shared) {
        return leads_to;
    }
    match () {
        () if finding.has(Rule::ShutDown) || finding.has(Rule::EndedAfter) => {
            "one process ends the connection of the other: its next request fails (connection closed, \
             broken pipe), although nothing is wrong with the server"
        }
        () if shared.tls => {
            "TLS breaks: the peer or a process reports \"bad record mac\" or \"decryption failed\", and \
             the connection is closed"
        }
        () => {
            "a reply goes to whichever process reads first: requests get the answers to others' requests, \
             often without any error"
        }
    }
}

/// A rule about what is shared, in words.
pub(super) fn proof(fact: &Fact) -> String {
    match fact {
        Fact::SameConnection { inode } => format!("it is one socket (inode {inode})"),
        Fact::TlsOfBoth {} => {
            "more than one process sends TLS records, and each numbers them by itself".into()
        }
        Fact::RequestsCrossed { times, after_others, turns } => {
            crossed(*times, *after_others, *turns)
        }
        Fact::ShutDown { by, pid, error } => {
            format!(
                "process {by} shut it down; then a call of process {pid} failed ({})",
                why(*error)
            )
        }
        Fact::EndedAfter { by, after_ns, pid, error } => format!(
            "the peer closed it {} after the last message of process {by}; then a call of process {pid} \
             failed ({})",
            duration(*after_ns),
            why(*error)
        ),
        Fact::UsedInTurns { turns } => format!(
            "it changed hands {}, so far never between a request and its reply",
            plural(*turns, "time", "times")
        ),
        _ => String::new(),
    }
}

fn crossed(times: u64, after_others: u64, turns: u64) -> String {
    let mut text = format!("it changed hands {}", plural(turns, "time", "times"));
    if times > 0 {
        let times = plural(times, "time", "times");
        text.push_str(&format!("; at least {times} between a request and its reply"));
    }
    if after_others > 0 {
        let receives = plural(after_others, "reply was", "replies were");
        text.push_str(&format!("; {receives} read after another process had sent a request"));
    }
    text
}

fn why(error: u32) -> String {
    match i32::try_from(error) {
        Ok(0) | Err(_) => "end of stream".into(),
        Ok(error) => nix::errno::Errno::from_raw(error).desc().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::hazards::tests::finding;
    use forktrace_model::finding::HazardId;

    #[test]
    fn the_headline_names_who_shares_what() {
        let user = |pid| DescriptorUser { pid, comm: "server".into(), ..Default::default() };
        let shared = |pids: &[u32]| DescriptorDetail {
            name: "10.0.0.5:5432".into(),
            users: pids.iter().copied().map(user).collect(),
            ..DescriptorDetail::default()
        };
        let says = |pids: &[u32]| {
            let finding = finding(HazardId::SharedDescriptor, 0);
            headline(&finding, &shared(pids), Style::default())
        };
        assert_eq!(
            says(&[70, 71]),
            "server[70] and server[71] both use one connection to 10.0.0.5:5432"
        );
        assert!(says(&[70, 71, 72]).starts_with("server[70], server[71] and server[72] all use"));
        assert_eq!(
            says(&[70, 71, 72, 73]),
            "server[70], server[71], server[72] and 1 more all use one connection to 10.0.0.5:5432"
        );
    }
}
