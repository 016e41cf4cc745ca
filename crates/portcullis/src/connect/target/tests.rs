//! What names a service.

use super::Target;

#[test]
fn a_host_stands_alone_or_with_a_port() {
    for (text, told) in [
        ("ssh.example.com", "ssh.example.com:443"),
        ("ssh.example.com:22", "ssh.example.com:22"),
        ("SSH.Example.Com.:22", "ssh.example.com:22"),
        ("[::1]:22", "[::1]:22"),
        ("10.0.0.5:22", "10.0.0.5:22"),
    ] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), told);
    }
    for bad in ["", ":22", "ssh:", "ssh:0", "ssh:x", "ssh:65536", "https://ssh", "ssh/", "u@ssh", "a b", "::1", "../x"]
    {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}

#[test]
fn another_port_is_on_the_same_host() {
    let target: Target = "ssh.example.com:22".parse().unwrap();
    assert_eq!(target.with_port(443).url("/x"), "https://ssh.example.com/x");
    assert_eq!(target.with_port(8443).url("/x"), "https://ssh.example.com:8443/x");
}
