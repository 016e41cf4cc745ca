//! Where `connect` listens.

use super::Place;

#[test]
fn only_this_computer_is_served() {
    assert_eq!("-".parse(), Ok(Place::StandardStreams));
    for good in ["127.0.0.1:0", "127.0.0.1:15432", "127.0.0.2:1", "[::1]:1"] {
        assert_eq!(good.parse(), Ok(Place::Port(good.parse().unwrap())), "{good}");
    }
    for bad in ["0.0.0.0:1", "[::]:1", "10.0.0.5:1"] {
        assert!(bad.parse::<Place>().unwrap_err().contains("let in as you"), "{bad}");
    }
    for bad in ["", "1", ":1", "localhost:1", "127.0.0.1"] {
        assert!(bad.parse::<Place>().unwrap_err().contains("127.0.0.1:PORT"), "{bad}");
    }
}
