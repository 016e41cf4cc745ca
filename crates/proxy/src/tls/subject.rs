//! Reads from a client's certificate what policies and the audit record see of it.

use std::fmt::Write as _;

use authorize::ClientCertificate;
use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Reads a certificate.
pub(crate) fn client_certificate(der: &CertificateDer<'_>) -> Result<ClientCertificate, String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| format!("the client's certificate is none: {error}"))?;
    let mut read = ClientCertificate {
        subject: distinguished_name(certificate.subject()).into(),
        fingerprint_sha256: hexadecimal(digest(&SHA256, der).as_ref()).into(),
        not_after: Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(|error| format!("the client's certificate ends at no time: {error}"))?,
        ..ClientCertificate::default()
    };
    let alternative = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let (mut dns, mut uris, mut emails) = (Vec::new(), Vec::new(), Vec::new());
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(name) = name {
            // RFC 4343: names are compared whatever their case; rules compare texts.
            dns.push(name.to_ascii_lowercase().into());
        } else if let GeneralName::URI(uri) = name {
            uris.push((*uri).into());
        } else if let GeneralName::RFC822Name(email) = name {
            emails.push((*email).into());
        }
    }
    (read.san_dns, read.san_uri, read.san_email) = (dns.into(), uris.into(), emails.into());
    Ok(read)
}

/// Writes a name as RFC 4514 §2 has it: last part first.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<Vec<_>> = name.iter().map(|part| part.iter().map(attribute).collect()).collect();
    parts.iter().rev().map(|part| part.join("+")).collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let known = NAMES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name);
    match (known, attribute.as_str()) {
        (Some(name), Ok(text)) => format!("{name}={}", escaped(text)),
        // RFC 4514 §2.4: what has no name, or is no text, is the hexadecimal form of its encoding.
        (name, _) => {
            let value = attribute.attr_value();
            let tag = u8::try_from(value.tag().0).unwrap_or_default();
            format!("{}=#{tag:02x}{}{}", name.unwrap_or(&oid), length(value.data.len()), hexadecimal(value.data))
        }
    }
}

/// Escapes what RFC 4514 §2.4 names, so that no value reads as a further part.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        match character {
            '\0' => escaped.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.extend(['\\', character]),
            '#' if at == 0 => escaped.push_str("\\#"),
            ' ' if at == 0 || at == last => escaped.push_str("\\ "),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The length of a DER value (X.690 §8.1.3), in hexadecimal.
fn length(bytes: usize) -> String {
    if bytes < 0x80 {
        return format!("{bytes:02x}");
    }
    let bytes = bytes.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    format!("{:02x}{}", 0x80 | significant.len(), hexadecimal(&significant))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// RFC 4514 §3, and those that certificates of people hold besides.
const NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.5", "serialNumber"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

#[cfg(test)]
mod tests;
