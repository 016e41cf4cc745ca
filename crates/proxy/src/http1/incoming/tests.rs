//! Parts that are handed from a connection to a body.

use std::future::poll_fn;

use http_body::Body as _;

use super::*;

fn frame(body: &mut Body) -> Poll<Option<Result<Frame<Bytes>, Faulty>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_part_is_wanted_when_the_last_was_taken_and_more_is_asked_for() {
    let (mut body, mut upload) = Body::streamed(Some(5));
    let cx = &Context::from_waker(Waker::noop());
    assert_eq!(upload.wants(cx), Want::Nothing);
    assert!(frame(&mut body).is_pending());
    assert_eq!(upload.wants(cx), Want::More);
    let mut read = BytesMut::from(&b"abcdefgh"[..3]);
    let Step::Data(data) = upload.next(&mut read).unwrap() else { panic!() };
    assert!(!upload.give(data, cx));
    assert_eq!(upload.wants(cx), Want::Nothing);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
    let taken = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
    assert_eq!((taken.into_data().unwrap(), body.size_hint().exact()), (Bytes::from("abc"), Some(2)));
    assert!(matches!(upload.next(&mut read), Ok(Step::Read(_))));
    read.extend_from_slice(b"deNEXT");
    let Step::Data(data) = upload.next(&mut read).unwrap() else { panic!() };
    assert!(upload.give(data, cx), "it was the last");
    assert_eq!(&read[..], b"NEXT");
    assert!(matches!(frame(&mut body), Poll::Ready(Some(Ok(_)))));
    assert!(body.is_end_stream() && matches!(frame(&mut body), Poll::Ready(None)));
}

#[test]
fn who_drops_a_body_wants_no_more() {
    let (body, upload) = Body::streamed(None);
    let cx = &Context::from_waker(Waker::noop());
    assert!(upload.may_be_discarded() && upload.wants(cx) == Want::Nothing);
    drop(body);
    assert_eq!(upload.wants(cx), Want::Never);
}

#[test]
fn a_body_that_breaks_off_says_so_once() {
    let (mut body, upload) = Body::streamed(None);
    upload.fail(Faulty::Closed, &Context::from_waker(Waker::noop()));
    assert!(matches!(frame(&mut body), Poll::Ready(Some(Err(Faulty::Closed)))));
    assert!(matches!(frame(&mut body), Poll::Ready(None)));
}
