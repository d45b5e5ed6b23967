use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use crate::open_for_writing;

#[test]
fn a_new_log_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.jsonl");
    open_for_writing(&path, None).unwrap().write_all(b"x").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn an_existing_file_is_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.jsonl");
    fs::write(&path, "a longer text").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    open_for_writing(&path, None).unwrap().write_all(b"x").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"x");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_new_log_is_given_away_and_an_existing_one_keeps_its_owner() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let owner = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o777)
    };
    open_for_writing(&path, Some((1234, 5678))).unwrap();
    assert_eq!(owner(&path), (1234, 5678, 0o600));
    fs::write(&path, "longer").unwrap();
    open_for_writing(&path, Some((1234, 77))).unwrap();
    assert_eq!((owner(&path), fs::read(&path).unwrap()), ((1234, 5678, 0o600), Vec::new()));

    // Its owner may have it open, and would read what comes.
    fs::write(&path, "theirs").unwrap();
    for other in [None, Some((77, 77))] {
        let refused = open_for_writing(&path, other).unwrap_err().to_string();
        assert!(refused.contains("belongs to another user"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }
}

#[test]
fn links_are_refused_and_what_they_name_is_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("precious");
    fs::write(&target, "precious").unwrap();
    let (soft, hard) = (dir.path().join("soft"), dir.path().join("hard"));
    symlink(&target, &soft).unwrap();
    fs::hard_link(&target, &hard).unwrap();
    let error = open_for_writing(&soft, None).unwrap_err().to_string();
    assert!(error.contains("is a symbolic link"), "{error}");
    let error = open_for_writing(&hard, None).unwrap_err().to_string();
    assert!(error.contains("hard link"), "{error}");
    assert_eq!(fs::read(&target).unwrap(), b"precious");

    let dangling = dir.path().join("dangling");
    symlink(dir.path().join("made-by-link"), &dangling).unwrap();
    open_for_writing(&dangling, None).unwrap_err();
    assert!(!dir.path().join("made-by-link").exists());
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [pipe.as_path(), Path::new("/dev/null")] {
        let error = open_for_writing(path, None).unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
    }
    open_for_writing(dir.path(), None).unwrap_err();
    open_for_writing(&dir.path().join("no/such/folder"), None).unwrap_err();
}
