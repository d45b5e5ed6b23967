use std::collections::BTreeSet;

use crate::locks::{
    FAMILIES, FamilyRemedy, Language, LockFamily, SEMAPHORE, glibc_sem::PYTHON_SEMAPHORE, rust_std,
};

#[test]
fn ids_and_names_are_each_familys_own() {
    let ids: BTreeSet<_> = FAMILIES.iter().map(|family| family.id).collect();
    let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!((ids.len(), names.len()), (FAMILIES.len(), FAMILIES.len()));
    for id in ids {
        let kebab = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(kebab, "{id}");
    }
    for family in FAMILIES {
        assert_eq!(LockFamily::by_name(family.name), Some(*family));
    }
    assert_eq!(LockFamily::by_name("glibc semaphore (of tomorrow)"), None);
}

#[test]
fn a_semaphore_in_python_is_a_lock_of_its() {
    assert_eq!(SEMAPHORE.in_language(true), &PYTHON_SEMAPHORE);
    assert_eq!(SEMAPHORE.in_language(false), &SEMAPHORE);
    assert_eq!(rust_std::once::ONCE.in_language(true), &rust_std::once::ONCE);
}

/// The names with a property, in the order of the table.
fn names(has: impl Fn(&LockFamily) -> bool) -> Vec<&'static str> {
    FAMILIES.iter().filter(|family| has(family)).map(|family| family.name).collect()
}

#[test]
fn what_the_rules_and_the_advice_ask() {
    let anyone = [
        "Python threading.Lock (PyMutex)",
        "Python lock (PyMutex)",
        "glibc semaphore",
        "Python threading lock (sem_t)",
        "glibc condition variable",
        "glibc barrier",
        "futex word",
        "GLib GCond",
        "Go runtime note (a parked thread)",
        "OpenMP barrier or lock (libgomp)",
        "TBB semaphore (a parked thread)",
        "abseil waiter (a parked thread)",
        "folly futex",
        "C++ std::atomic wait",
        "Rust std Condvar",
        "Rust thread::park",
        "glibc pthread_once",
        "glibc barrier (being destroyed)",
    ];
    assert_eq!(names(|family| family.anyone_may_release), anyone);
    let event = [
        "Rust std Mutex",
        "Rust std Once",
        "Rust std RwLock (held for writing)",
        "Rust std RwLock (held for reading)",
    ];
    assert_eq!(names(|family| family.may_be_event), event);
    let once = [
        "parking_lot Once",
        "C++ static initialisation guard",
        "musl pthread_once",
        "Rust std Once",
    ];
    assert_eq!(names(|family| family.remedy == FamilyRemedy::Once), once);
    let own = ["glibc internal lock", "musl FILE lock", "glibc condition variable's internal lock"];
    assert_eq!(names(|family| family.remedy == FamilyRemedy::LibraryOwn), own);
    let threads = ["glibc condition variable (in use)", "end of a thread (pthread_join)"];
    assert_eq!(names(|family| family.remedy == FamilyRemedy::Threads), threads);
    let threading = [
        "Python threading.Lock (PyMutex)",
        "Python threading.RLock (PyMutex)",
        "Python threading lock (sem_t)",
    ];
    assert_eq!(names(|family| family.remedy == FamilyRemedy::PythonThreading), threading);
    for family in FAMILIES {
        let python = family.language == Some(Language::Python);
        assert_eq!(python, family.name.starts_with("Python"), "{family:?}");
    }
}
