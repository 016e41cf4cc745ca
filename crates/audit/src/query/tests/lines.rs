//! Lines as they stand in a log, and segments of them.

use std::fs;
use std::path::Path;

pub(in crate::query) fn request(id: &str, second: u32, more: &str) -> String {
    format!(
        r#"{{"time":"2026-03-01T12:00:{second:02}.000000Z","id":"{id}","kind":"request","route":"git","client_ip":"10.8.1.4","user":{{"id":"i|1","email":"ada@example.com","groups":["eng"],"provider":"p"}},"session":"s1","method":"GET","host":"git.test","path":"/a/b"{more},"prev":"x","hash":"y"}}"#
    ) + "\n"
}

pub(in crate::query) fn ahead(id: &str, second: u32) -> String {
    request(id, second, r#","decision":"allow","rule":"git/all""#)
}

pub(in crate::query) fn whole(id: &str, second: u32, decision: &str, status: u16) -> String {
    request(id, second, &format!(r#","decision":"{decision}","rule":"git/all","status":{status}"#))
}

pub(in crate::query) fn outcome(id: &str, more: &str) -> String {
    format!(r#"{{"time":"2026-03-01T12:59:00.000000Z","id":"{id}","kind":"outcome"{more},"prev":"x","hash":"y"}}"#)
        + "\n"
}

pub(in crate::query) fn segment(dir: &Path, number: u32, lines: &[String]) {
    fs::write(dir.join(format!("audit-a-{number:08}-20260301T00000{number}Z.jsonl")), lines.concat()).unwrap();
}
