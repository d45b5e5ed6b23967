use crate::locks::{Base, Identity, Meaning, Part, Thing, Word, WordFact};

#[test]
fn facts_in_the_log_are_read_as_they_were_written() {
    let word = |value: u64, meaning| Some(Word::new(value, meaning));
    let now = Word { owner: Some(4207), ..Word::new(u64::MAX, Meaning::LockedBy(4207)) };
    let fact = WordFact::now(Part::State, Base::Hex, now);
    let facts = [
        fact.clone(),
        fact.clone().inherited(word(1, Meaning::HeldForWriting { by: None })),
        fact.clone().inherited(word(3, Meaning::HeldForWriting { by: Some(0) })),
        fact.clone()
            .inherited(word(0, Meaning::NotOf(Thing::RwLock)))
            .identity(Some(Identity::SameObject { owner: None })),
        fact.inherited(word(2, Meaning::HeldByReaders(2)))
            .identity(Some(Identity::SameBlock { bytes: 48 })),
    ];
    for fact in &facts {
        let json = serde_json::to_string(fact).unwrap();
        assert_eq!(&serde_json::from_str::<WordFact>(&json).unwrap(), fact, "{json}");
    }
    let json = serde_json::to_string(&facts[4]).unwrap();
    let expected = r#"{"part":"state","base":"hex","inherited":{"value":2,"meaning":{"held_by_readers":2}},"now":{"value":"18446744073709551615","meaning":{"locked_by":4207},"owner":4207},"identity":{"same_block":{"bytes":48}}}"#;
    assert_eq!(json, expected);
}
