//! Who can read what is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use identity::Secret;

use super::SessionFile;

const COOKIE: &str = "__Host-portcullis=handle";

fn loaded(file: &SessionFile) -> Option<String> {
    file.load().unwrap().map(|kept| kept.cookie.expose().to_owned())
}

#[test]
fn a_session_is_kept_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state/portcullis");
    let file = SessionFile::new(&directory, "ssh.example.com", 443);
    assert_eq!(loaded(&file), None);
    file.save(&Secret::new("first=1".into()), "Ada").unwrap();
    file.save(&Secret::new(COOKIE.into()), "Ada").unwrap();
    assert_eq!(loaded(&file).as_deref(), Some(COOKIE));
    assert_eq!(file.load().unwrap().unwrap().user.as_deref(), Some("Ada"));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file.path)), (0o700, 0o600));
    assert_eq!(loaded(&SessionFile::new(&directory, "ssh.example.com", 8443)), None);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "what was written aside stays behind");
    file.remove().unwrap();
    assert_eq!(loaded(&file), None);
}

#[test]
fn sessions_at_other_ports_of_the_host_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = |host, port| SessionFile::new(folder.path(), host, port);
    assert!(file("ssh.example.com", 443).other_ports().is_empty());
    for (host, port) in
        [("ssh.example.com", 8443), ("ssh.example.com", 443), ("example.com", 1), ("a.ssh.example.com", 2)]
    {
        file(host, port).save(&Secret::new(COOKIE.into()), "Ada").unwrap();
        drop(file(host, port).lock().unwrap());
    }
    assert_eq!(file("ssh.example.com", 443).other_ports(), [8443]);
    assert_eq!(file("ssh.example.com", 22).other_ports(), [443, 8443]);
}

#[test]
fn a_session_that_others_can_read_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = SessionFile::new(folder.path(), "ssh.example.com", 443);
    file.save(&Secret::new(COOKIE.into()), "Ada").unwrap();
    for mode in [0o640, 0o604, 0o620, 0o660] {
        fs::set_permissions(&file.path, fs::Permissions::from_mode(mode)).unwrap();
        let told = file.load().unwrap_err().to_string();
        assert!(told.contains(&format!("`rm {}`", file.path.display())), "{told}");
        assert!(!told.contains(COOKIE), "{told}");
    }
}

#[test]
fn a_link_or_a_pipe_is_no_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = SessionFile::new(&folder.path().join("portcullis"), "ssh.example.com", 443);
    let secret = SessionFile::new(folder.path(), "another-secret", 0);
    secret.save(&Secret::new(COOKIE.into()), "Ada").unwrap();
    fs::create_dir(folder.path().join("portcullis")).unwrap();
    std::os::unix::fs::symlink(&secret.path, &file.path).unwrap();
    assert!(file.load().unwrap_err().to_string().contains("cannot use"));
    fs::remove_file(&file.path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file.path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(file.load().is_err(), "it is waited for");
    let made = folder.path().join("made");
    std::os::unix::fs::symlink(&made, folder.path().join("portcullis/ssh.example.com.443.lock")).unwrap();
    assert!(file.try_lock().is_err() && !made.exists());
    file.save(&Secret::new("own=1".into()), "Ada").unwrap();
    assert_eq!((loaded(&file).as_deref(), loaded(&secret).as_deref()), (Some("own=1"), Some(COOKIE)));
}

#[test]
fn what_is_no_session_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = SessionFile::new(folder.path(), "ssh.example.com", 443);
    for text in ["", "\n", "a=b\r\nx: y", "a=b; c=d", &"x".repeat(9_000)] {
        file.save(&Secret::new(text.into()), "Ada").unwrap();
        let kept = loaded(&file).unwrap_or_default();
        assert!(kept.len() < 9_000 && !kept.contains(['\r', '\n', ' ']), "{kept:?}");
    }
}

#[test]
fn one_signs_in_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = SessionFile::new(folder.path(), "ssh.example.com", 443);
    let first = file.try_lock().unwrap();
    assert!(first.is_some() && file.try_lock().unwrap().is_none());
    drop(first);
    file.lock().unwrap();
}
