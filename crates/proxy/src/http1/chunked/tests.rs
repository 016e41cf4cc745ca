//! Chunks, whole and byte by byte, and what is none.

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq)]
struct Whole {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    rest: Vec<u8>,
}

/// Reads a body that arrives in steps of so many bytes.
fn read(bytes: &[u8], step: usize) -> Result<Option<Whole>, Faulty> {
    let (mut read, mut chunked, mut data) = (BytesMut::new(), Chunked::Size, Vec::new());
    for part in bytes.chunks(step) {
        read.extend_from_slice(part);
        loop {
            match chunked.next(&mut read)? {
                Next::Nothing => break,
                Next::Data(most) => {
                    let taken = read.split_to(read.len().min(usize::try_from(most).unwrap()));
                    chunked.took(taken.len() as u64);
                    data.extend_from_slice(&taken);
                }
                Next::End(trailers) => return Ok(Some(Whole { data, trailers, rest: read.to_vec() })),
            }
        }
    }
    Ok(None)
}

#[test]
fn data_and_trailers_are_the_same_however_they_arrive() {
    let body = b"5\r\nhello\r\n6 ; x=\"y\"\r\n world\r\n000\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n";
    for step in 1..=body.len() {
        let Whole { data, trailers, rest } = read(body, step).unwrap().unwrap();
        assert_eq!((&data[..], &rest[..]), (&b"hello world"[..], &b""[..]));
        assert_eq!(trailers.unwrap().get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
    }
}

#[test]
fn what_follows_the_last_chunk_is_left_alone() {
    let Whole { data, trailers, rest } = read(b"0\r\n\r\nHTTP/1.1 200 OK", 64).unwrap().unwrap();
    assert_eq!((&data[..], trailers, &rest[..]), (&b""[..], None, &b"HTTP/1.1 200 OK"[..]));
}

#[test]
fn what_is_no_chunk_is_refused() {
    for body in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        "1 2\r\n",
        "1 \r\n",
        "1;x\0\r\na\r\n",
        "1\n",
        "1\rx\n",
        "10000000000000000\r\n",
        "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx: y\r\n\n",
    ] {
        assert!(read(body.as_bytes(), 64).is_err(), "{body:?}");
    }
    assert!(read("1".repeat(MAX_SIZE_LINE + 1).as_bytes(), 64).is_err(), "a size has a bound");
    assert!(read(format!("0\r\nx: {}", "y".repeat(MAX_TRAILERS)).as_bytes(), 1024).is_err(), "trailers have a bound");
}

proptest! {
    #[test]
    fn nothing_panics(body in proptest::collection::vec(proptest::sample::select(b"01aF;\r\nx: \0\xff".to_vec()), 0..64), step in 1..9_usize) {
        let _ = read(&body, step);
    }
}
