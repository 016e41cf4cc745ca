//! Why a certificate does not prove who the proxy is, and what to do.

use rustls::CertificateError;

use super::failure::printable;

/// Words why the certificate does not prove that its owner is `host`; whether its authorities were named by the user.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive, and the rest is rare")]
pub(super) fn problem(problem: &CertificateError, host: &str, is_private: bool) -> String {
    match problem {
        CertificateError::UnknownIssuer if is_private => {
            "the authority of its certificate is not in the file that `--ca-file` names".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "this computer does not know the authority of its certificate; `--ca-file FILE` names a private one"
                .to_owned()
        }
        CertificateError::NotValidForName => other_names("other names", host),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| format!("`{}`", printable(bare_name(name)))).collect();
            other_names(&if names.is_empty() { "no name".to_owned() } else { names.join(", ") }, host)
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; tell who runs the proxy".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is the clock of this computer right?".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not meant for servers; tell who runs the proxy".to_owned()
        }
        // rustls has no word of its own for what `openssl req -x509` makes by default.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "its certificate is that of an authority; the listener needs one with `basicConstraints=CA:FALSE`"
                .to_owned()
        }
        _ => "its certificate cannot be used; tell who runs the proxy".to_owned(),
    }
}

fn other_names(names: &str, host: &str) -> String {
    format!("its certificate is for {names}; check `--proxy`, or have the listener use one for `{host}`")
}

/// Returns the name in what rustls shows of it: `DnsName("app.internal")`, `IpAddress(10.0.0.1)`.
fn bare_name(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(shown, |inner| inner.trim_matches('"'))
}

#[cfg(test)]
mod tests;
