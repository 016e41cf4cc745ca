//! Frames are followed whatever pieces they come in.

use super::{Frames, Peer, close_frame};

fn frames() -> Vec<Vec<u8>> {
    let mut long = vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0];
    long.resize(10 + 65_536, 7);
    let mut masked = vec![0x81, 0x80 | 126, 1, 0, 1, 2, 3, 4];
    masked.resize(8 + 256, 7);
    vec![vec![0x81, 0], vec![0x01, 3, 1, 2, 3], vec![0x89, 0x80, 9, 9, 9, 9], masked, long]
}

#[test]
fn a_frame_ends_where_its_length_says_in_whatever_pieces_it_comes() {
    for frame in frames() {
        for piece in [1, 2, 3, 7, 1000, frame.len()] {
            let mut followed = Frames::new();
            let mut fed = 0;
            for bytes in frame.chunks(piece) {
                assert_eq!(followed.is_between(), fed == 0);
                assert!(followed.needed() <= frame.len() - fed, "{followed:?}");
                followed.feed(bytes);
                fed += bytes.len();
            }
            assert!(followed.is_between() && !followed.has_closed(), "{followed:?}");
        }
    }
}

#[test]
fn several_frames_at_once_are_told_apart() {
    let mut followed = Frames::new();
    followed.feed(&frames().concat());
    assert!(followed.is_between());
    followed.feed(&[0x81, 5, 1]);
    assert!(!followed.is_between());
    assert_eq!(followed.needed(), 4);
}

#[test]
fn a_close_is_noticed() {
    for to in [Peer::Client, Peer::Upstream] {
        let mut followed = Frames::new();
        followed.feed(&close_frame(1001, to));
        assert!(followed.is_between() && followed.has_closed());
    }
    assert_eq!(close_frame(1001, Peer::Client), [0x88, 2, 0x03, 0xe9]);
}
