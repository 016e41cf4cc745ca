//! What a kept body holds, and for how long.

use std::task::Waker;

use super::*;

fn kept(parts: &[&Bytes]) -> Arc<Kept> {
    let kept = Kept::new(Incoming::Empty);
    parts.iter().for_each(|part| kept.lock().keep(&Frame::data(Bytes::clone(part))));
    kept
}

/// Reads what is there, in one.
fn rest(reader: &mut Reader) -> Option<Bytes> {
    match reader.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(Part::Again(frame)))) => frame.into_data().ok(),
        Poll::Ready(_) | Poll::Pending => None,
    }
}

fn held(kept: &Kept) -> usize {
    kept.lock().bytes.capacity()
}

#[test]
fn what_was_read_together_with_a_small_part_is_not_held_by_it() {
    let read = Bytes::from(vec![0; 16 * 1024]);
    let part = read.slice(..1);
    drop(read);
    let kept = kept(&[&part]);
    assert!(part.is_unique());
    assert!(held(&kept) < 1024);
}

#[test]
fn parts_are_read_again_in_their_order_until_there_is_too_much() {
    let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
    let kept = kept(&[&one, &Bytes::new(), &two]);
    for _ in 0..2 {
        let mut reader = kept.read();
        assert_eq!(rest(&mut reader).as_deref(), Some(&b"onetwo"[..]));
        assert_eq!(rest(&mut reader), None);
    }
    assert!(kept.is_replayable());
    kept.lock().keep(&Frame::data(Bytes::from(vec![0; MOST])));
    assert!(!kept.is_replayable());
    assert_eq!(held(&kept), 0);
}

#[test]
fn what_is_not_sent_again_is_given_back_once_it_was_read() {
    let part = Bytes::from_static(b"hello");
    let answered = kept(&[&part]);
    answered.forget();
    assert_eq!(held(&answered), 0, "all was read");
    let again = kept(&[&part]);
    let mut reader = again.read();
    again.forget();
    assert_eq!(rest(&mut reader), Some(part), "it was still to be read");
    assert_eq!(held(&again), 0);
}
