//! One direction, between two ends of which one is slow.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter, duplex};

use super::*;

/// Polls once.
async fn turn<F, T>(pump: &mut Pump, from: &mut F, to: &mut T) -> Poll<io::Result<()>>
where
    F: AsyncRead + Unpin,
    T: AsyncWrite + Unpin,
{
    poll_fn(|cx| Poll::Ready(pump.poll(cx, from, to))).await
}

#[tokio::test]
async fn only_what_is_not_taken_yet_is_kept() {
    let (mut here, mut from) = duplex(4096);
    let (mut to, mut there) = duplex(16);
    let mut pump = Pump::default();
    here.write_all(&[7; 100]).await.unwrap();
    assert!(turn(&mut pump, &mut from, &mut to).await.is_pending());
    assert_eq!(pump.held.len(), 100 - 16);
    let mut came = [0; 100];
    tokio::select! {
        _ended = poll_fn(|cx| pump.poll(cx, &mut from, &mut to)) => panic!("ended before its end"),
        read = there.read_exact(&mut came) => assert_eq!(read.unwrap(), 100),
    }
    assert_eq!((came, pump.held.len()), ([7; 100], 0));
    drop(here);
    poll_fn(|cx| pump.poll(cx, &mut from, &mut to)).await.unwrap();
    assert_eq!(there.read(&mut came).await.unwrap(), 0);
}

#[tokio::test]
async fn what_was_moved_is_sent_before_it_rests() {
    let (mut here, mut from) = duplex(4096);
    let (to, mut there) = duplex(4096);
    let (mut pump, mut to) = (Pump::default(), BufWriter::new(to));
    here.write_all(b"hello").await.unwrap();
    assert!(turn(&mut pump, &mut from, &mut to).await.is_pending());
    let mut came = [0; 5];
    there.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"hello");
}

#[tokio::test]
async fn whoever_takes_no_more_ends_it() {
    let (mut here, mut from) = duplex(4096);
    let (mut to, there) = duplex(16);
    here.write_all(b"hello").await.unwrap();
    drop(there);
    let broken = poll_fn(|cx| Pump::default().poll(cx, &mut from, &mut to)).await.unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
}
