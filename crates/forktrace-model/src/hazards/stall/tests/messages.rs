//! Descriptors that are on their way from one process to another.

use super::*;

#[test]
fn an_end_that_may_be_in_a_message_is_nobodys() {
    let held = |in_messages, kind, name: &str| {
        let mut made = Made::default()
            .process(CHILD, 0)
            .thing(kind, &[(CHILD, "rw")])
            .named(name)
            .waits(CHILD, CHILD, Way::Read);
        made.0.in_messages = in_messages;
        let accounts = accounts(&made.0, CHILD);
        (made.judged(&model(2)), accounts[0].can_run)
    };
    for kind in [ThingKind::Pipe, ThingKind::UnixSocket, ThingKind::Eventfd, ThingKind::SharedWord]
    {
        let (verdict, can_run) = held(false, kind, "x (deleted)");
        assert!(matches!(verdict, Verdict::Finding(_)), "{kind:?}: {verdict:?}");
        assert_eq!(can_run, Some(false));
        let open = (Verdict::Open(Reason::Unreadable), None);
        assert_eq!(held(true, kind, "x (deleted)"), open, "{kind:?}");
    }
    let (verdict, _) = held(true, ThingKind::SharedWord, "/dev/zero (deleted)");
    assert!(matches!(verdict, Verdict::Finding(_)), "no descriptor leads there: {verdict:?}");
}
