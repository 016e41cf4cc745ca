//! What is left out of records, or made unrecognisable, because a log may not name people.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Event, Record, User};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redact {
    /// It is written.
    #[default]
    Keep,
    /// A keyed hash is written: the same for the same value, so that records can still be told apart and joined.
    Hash,
    /// The network of an address is written: /24 of IPv4, /48 of IPv6.
    Truncate,
    /// It is not written.
    Remove,
}

/// What becomes of the fields that tell who somebody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// `client_ip`.
    pub client_ip: Redact,
    /// `peer_ip`.
    pub peer_ip: Redact,
    /// `user.id`.
    pub user_id: Redact,
    /// `user.email`.
    pub user_email: Redact,
    /// `user.groups`.
    pub user_groups: Redact,
    /// `session`.
    pub session: Redact,
    /// `path`.
    pub path: Redact,
    /// `query_keys`.
    pub query_keys: Redact,
    /// `user_agent`.
    pub user_agent: Redact,
}

/// A redaction with the key for hashes.
#[derive(Debug)]
pub(crate) struct Redactor {
    redaction: Redaction,
    key: hmac::Key,
}

impl Redactor {
    /// Opens what is asked for; nothing, where everything is kept. The key is made where there is none.
    pub(crate) fn open(dir: &Path, redaction: Redaction) -> io::Result<Option<Self>> {
        if redaction == Redaction::default() {
            return Ok(None);
        }
        Ok(Some(Self { redaction, key: hmac::Key::new(hmac::HMAC_SHA256, &key(dir)?) }))
    }

    pub(crate) fn record<'a>(&self, record: &'a Record<'_>) -> Record<'a> {
        let Redaction { client_ip, peer_ip, path, query_keys, user_agent, .. } = self.redaction;
        Record {
            client_ip: record.client_ip.and_then(|ip| address(client_ip, ip)),
            peer_ip: record.peer_ip.and_then(|ip| address(peer_ip, ip)),
            path: self.required(path, &record.path),
            query_keys: if query_keys == Redact::Keep { record.query_keys.clone() } else { Vec::new() },
            user_agent: record.user_agent.as_ref().and_then(|text| self.text(user_agent, text)),
            ..record.clone()
        }
    }

    pub(crate) fn event<'a>(&self, event: &'a Event<'_>) -> Event<'a> {
        Event {
            // It may be a user's id.
            actor: self.required(self.redaction.user_id, &event.actor),
            user: event.user.as_ref().map(|user| self.user(user)),
            session: event.session.as_ref().and_then(|text| self.session(text)),
            ..event.clone()
        }
    }

    pub(crate) fn session<'a>(&self, session: &'a str) -> Option<Cow<'a, str>> {
        self.text(self.redaction.session, session)
    }

    pub(crate) fn user<'a>(&self, user: &'a User<'_>) -> User<'a> {
        let Redaction { user_id, user_email, user_groups, .. } = self.redaction;
        User {
            id: self.required(user_id, &user.id),
            email: self.required(user_email, &user.email),
            groups: if user_groups == Redact::Keep { Cow::Borrowed(&user.groups) } else { Cow::Borrowed(&[]) },
            provider: Cow::Borrowed(&user.provider),
        }
    }

    fn required<'a>(&self, redact: Redact, text: &'a str) -> Cow<'a, str> {
        self.text(redact, text).unwrap_or(Cow::Borrowed(REMOVED))
    }

    fn text<'a>(&self, redact: Redact, text: &'a str) -> Option<Cow<'a, str>> {
        match redact {
            Redact::Keep => Some(Cow::Borrowed(text)),
            // Nothing is nothing, hashed or not.
            Redact::Hash | Redact::Truncate if text.is_empty() => Some(Cow::Borrowed("")),
            Redact::Hash | Redact::Truncate => {
                let tag = hmac::sign(&self.key, text.as_bytes());
                let beginning = tag.as_ref().get(..HASH_BYTES).unwrap_or_default();
                Some(Cow::Owned(format!("hmac:{}", URL_SAFE_NO_PAD.encode(beginning))))
            }
            Redact::Remove => None,
        }
    }
}

fn address(redact: Redact, address: IpAddr) -> Option<IpAddr> {
    match redact {
        Redact::Keep => Some(address),
        Redact::Hash | Redact::Truncate => Some(match address {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                IpAddr::from([a, b, c, 0])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        }),
        Redact::Remove => None,
    }
}

/// Reads the key, which a hash needs: without it, whoever guesses an address could confirm it.
fn key(dir: &Path) -> io::Result<[u8; 32]> {
    let path = dir.join(KEY_FILE);
    let mut key = [0; 32];
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            rand::fill(&mut key).map_err(|_| io::Error::other("no randomness for the key of `audit.redact`"))?;
            file.write_all(&key)?;
            file.sync_all()?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).open(&path)?.read_exact(&mut key)?;
        }
        Err(error) => return Err(error),
    }
    Ok(key)
}

const REMOVED: &str = "[removed]";

const KEY_FILE: &str = ".audit-redact.key";

const HASH_BYTES: usize = 12;

#[cfg(test)]
mod tests;
