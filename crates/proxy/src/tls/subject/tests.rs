//! Subjects as RFC 4514 writes them, and names by their kind.

use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

use super::{client_certificate, escaped, length};

fn subject(parts: &[(DnType, DnValue)]) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in parts {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    client_certificate(certificate.der()).unwrap().subject.into()
}

#[test]
fn a_subject_is_written_last_part_first() {
    let parts = [
        (DnType::CountryName, DnValue::PrintableString("GB".try_into().unwrap())),
        (DnType::OrganizationName, DnValue::Utf8String("Example".into())),
        (DnType::CommonName, DnValue::Utf8String("ada".into())),
    ];
    assert_eq!(subject(&parts), "CN=ada,O=Example,C=GB");
}

#[test]
fn no_value_reads_as_a_further_part() {
    let name = DnValue::Utf8String("ada,O=Admins".into());
    assert_eq!(subject(&[(DnType::CommonName, name)]), r"CN=ada\,O=Admins");
    let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
    check(" a ", r"\ a\ ");
    check("#1", r"\#1");
    check("a+b;c<d>e\"f\\g\0", "a\\+b\\;c\\<d\\>e\\\"f\\\\g\\00");
    check("Ådå #x", "Ådå #x");
}

#[test]
fn what_has_no_name_or_is_no_text_is_hexadecimal() {
    let odd = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 1]);
    assert_eq!(subject(&[(odd, DnValue::Utf8String("x".into()))]), "1.3.6.1.4.1.99999.1=#0c0178");
    let bmp = DnValue::BmpString("a".try_into().unwrap());
    assert_eq!(subject(&[(DnType::CommonName, bmp)]), "CN=#1e020061");
    assert_eq!((length(127), length(128), length(300)), ("7f".to_owned(), "8180".to_owned(), "82012c".to_owned()));
}

#[test]
fn names_are_told_apart_by_their_kind() {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::DnsName("Build.Example.com".try_into().unwrap()),
        SanType::URI("spiffe://example.com/build".try_into().unwrap()),
        SanType::Rfc822Name("ada@example.com".try_into().unwrap()),
    ];
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let read = client_certificate(made.der()).unwrap();
    assert_eq!(*read.san_dns, ["build.example.com".into()]);
    assert_eq!(*read.san_uri, ["spiffe://example.com/build".into()]);
    assert_eq!(*read.san_email, ["ada@example.com".into()]);
    assert_eq!(read.fingerprint_sha256.len(), 64);
}
