//! Lines in a chain, and lines that were changed.

use super::{Link, Position, add_signature, make_room, seal};

fn line(position: &Position, text: &str) -> (Vec<u8>, Position) {
    let mut line = text.as_bytes().to_vec();
    make_room(&mut line);
    let next = seal(&mut line, position).unwrap();
    (line, next)
}

#[test]
fn a_line_carries_the_hash_of_the_line_before_and_its_own() {
    let (first, after_first) = line(&Position::START, r#"{"a":1}"#);
    let (second, after_second) = line(&after_first, r#"{"b":2}"#);
    let value: serde_json::Value = serde_json::from_slice(&second).unwrap();
    assert_eq!(value["prev"].as_str().unwrap().as_bytes(), after_first.hash);
    assert_eq!(value["hash"].as_str().unwrap().as_bytes(), after_second.hash);
    assert_eq!((after_first.lines, after_second.lines), (1, 2));
    let link = Link::of(first.strip_suffix(b"\n").unwrap()).unwrap();
    assert!(link.holds() && link.prev == Position::START.hash && link.signature.is_none());
}

#[test]
fn the_hash_is_over_all_bytes_before_it() {
    let (line, _) = line(&Position::START, r#"{"path":"/a","status":200}"#);
    let line = line.strip_suffix(b"\n").unwrap();
    for at in 0..line.len() {
        let mut altered = line.to_vec();
        altered[at] ^= 1;
        assert!(Link::of(&altered).is_none_or(|link| !link.holds()), "byte {at}");
    }
}

#[test]
fn a_signature_stands_behind_the_hash() {
    let (mut line, after) = line(&Position::START, r#"{"a":1}"#);
    add_signature(&mut line, &[7; 64]);
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let link = Link::of(line.strip_suffix(b"\n").unwrap()).unwrap();
    assert!(link.holds() && link.hash == after.hash);
    assert_eq!(link.signature.unwrap(), value["signature"].as_str().unwrap().as_bytes());
}

#[test]
fn a_line_of_no_chain_has_no_link() {
    for line in ["", "}", r#"{"a":1}"#, r#"{"hash":"x"}"#] {
        assert_eq!(Link::of(line.as_bytes()), None, "{line}");
    }
}
