//! Where `connect` listens.

use super::{Place, none_kept};

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

#[test]
fn a_session_that_is_kept_for_another_port_is_pointed_to() {
    assert_eq!(none_kept("a.test", 443, &[]), "no session is kept here for `a.test` with a proxy at port 443");
    let told = none_kept("a.test", 443, &[8443, 9443]);
    assert!(told.contains(", but with one at port 8443, 9443: add `--proxy HOST:8443`"), "{told}");
}
