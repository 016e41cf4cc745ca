//! How certificates that prove nothing are worded.

use std::sync::Arc;

use rustls::{CertificateError, OtherError};
use rustls_pki_types::ServerName;

use super::problem;

#[derive(Debug, thiserror::Error)]
#[error("CaUsedAsEndEntity")]
struct CaUsedAsEndEntity;

#[test]
fn the_advice_fits_what_is_wrong_with_the_certificate() {
    let expected = ServerName::try_from("ssh.example.com").unwrap();
    let presented = vec![r#"DnsName("app.example.com")"#.to_owned(), "IpAddress(10.0.0.1)".to_owned()];
    for (wrong, is_private, told) in [
        (CertificateError::UnknownIssuer, false, "`--ca-file FILE` names a private one"),
        (CertificateError::UnknownIssuer, true, "not in the file that `--ca-file` names"),
        (CertificateError::NotValidForName, true, "is for other names; check `--proxy`"),
        (
            CertificateError::NotValidForNameContext { expected, presented },
            true,
            "is for `app.example.com`, `10.0.0.1`; check `--proxy`, or have the listener use one for `ssh.example.com`",
        ),
        (CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity))), true, "`basicConstraints=CA:FALSE`"),
        (CertificateError::Expired, true, "has expired"),
        (CertificateError::BadEncoding, true, "cannot be used; tell who runs the proxy"),
    ] {
        let text = problem(&wrong, "ssh.example.com", is_private);
        assert!(text.contains(told), "{text}");
        assert!(is_private || text.contains("this computer"), "{text}");
    }
}
