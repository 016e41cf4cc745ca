//! What is taken of what was read.

use super::*;

#[test]
fn a_few_bytes_do_not_hold_the_room_of_many() {
    let mut read = BytesMut::with_capacity(ROOM);
    read.extend_from_slice(b"few");
    let few = take(&mut read, 3);
    assert!(read.try_reclaim(ROOM), "the room is held by `{few:?}`");
}

#[test]
fn many_bytes_are_not_copied() {
    let mut read = BytesMut::from(&[b'x'; ROOM][..]);
    let place = read.as_ptr();
    assert_eq!(take(&mut read, ROOM).as_ptr(), place);
}
