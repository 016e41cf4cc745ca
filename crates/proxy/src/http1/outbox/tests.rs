//! What is written, and in how many goes.

use std::task::Waker;

use super::*;

/// A peer that takes so many bytes at most in one go.
#[derive(Debug)]
struct Peer {
    most: usize,
    taken: Vec<u8>,
    goes: usize,
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let given: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(self.most).collect();
        self.taken.extend(&given);
        self.goes += 1;
        Poll::Ready(Ok(given.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes a chunk of as many parts as there is room for, to a peer that takes `most` bytes in one go.
fn chunk(most: usize) -> Peer {
    let mut out = Outbox::new(b"an earlier line".to_vec());
    out.line.extend_from_slice(b"20\r\n");
    let mut parts = 0;
    for letter in b'a'.. {
        if !out.has_room() {
            break;
        }
        out.put(Bytes::from(vec![letter; 2]));
        parts += 1;
    }
    assert_eq!(parts, MOST_PARTS);
    out.end = b"\r\n";
    let mut peer = Peer { most, taken: Vec::new(), goes: 0 };
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(out.poll_write(&mut cx, Pin::new(&mut peer)), Poll::Ready(Ok(()))));
    assert!(out.is_empty());
    assert_eq!(out.taken(), peer.taken.len() as u64);
    peer
}

#[test]
fn all_parts_are_written_in_order_however_little_the_peer_takes() {
    for most in 1..=40 {
        assert_eq!(chunk(most).taken, b"20\r\naabbccddeeffgghhiijjkkllmmnnoopp\r\n", "{most} bytes at most");
    }
}

#[test]
fn parts_that_are_there_at_the_same_time_are_written_in_one_go() {
    assert_eq!(chunk(usize::MAX).goes, 1);
}
