//! The forwarding headers that an upstream gets: rebuilt from what is known, never from what was claimed.

use http::header::{HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue};
use identity::{Ip, Scheme};

/// What the upstream learns of how the request reached us: `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and
/// `X-Request-Id`. `sanitize` has removed what came under these names, and whoever sets one says so by [`Told::leave`], so
/// that they are sent beside the request's own headers without being looked for among them.
#[derive(Debug)]
pub(crate) struct Told {
    client: HeaderValue,
    scheme: HeaderValue,
    host: HeaderValue,
    port: HeaderValue,
    request_id: HeaderValue,
    /// Those that another sets, in the order of the names.
    left: [bool; NAMES.len()],
}

impl Told {
    /// Tells of a client, of [`client_header`], and of the host that was asked for, with its port where one was given.
    pub(crate) fn new(
        client: HeaderValue,
        scheme: Scheme,
        host: HeaderValue,
        port: Option<u16>,
        mut request_id: HeaderValue,
    ) -> Self {
        // It never comes again: in the tables of HPACK, for which this is the way to keep it out (RFC 7541 §6.2.3), it would
        // push out what does, and each later one would be compared with it.
        request_id.set_sensitive(true);
        let port = match port.unwrap_or(scheme.default_port()) {
            443 => HeaderValue::from_static("443"),
            80 => HeaderValue::from_static("80"),
            other => HeaderValue::from(other),
        };
        Self {
            client,
            scheme: HeaderValue::from_static(scheme.as_str()),
            host,
            port,
            request_id,
            left: [false; NAMES.len()],
        }
    }

    /// Returns who is connected.
    pub(crate) const fn client(&self) -> &HeaderValue {
        &self.client
    }

    /// Returns the host that was asked for, with its port where one was given.
    pub(crate) const fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Leaves a header to another who sets it, or takes it away, among the request's own: an assertion, a claim, a
    /// credential.
    pub(crate) fn leave(&mut self, name: &HeaderName) {
        let own = NAMES.iter().position(|own| own == name);
        own.and_then(|own| self.left.get_mut(own)).into_iter().for_each(|left| *left = true);
    }

    /// Returns names and values.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'static HeaderName, &HeaderValue)> {
        let values = [&self.client, &self.scheme, &self.host, &self.port, &self.request_id];
        NAMES.iter().zip(values).zip(self.left).filter(|(_, left)| !left).map(|(line, _)| line)
    }

    /// Returns the value of one of them.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.lines().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Sets them among a request's headers, in the stead of any that are there.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in self.lines() {
            headers.insert(name, value.clone());
        }
    }

    /// Takes them out again.
    pub(crate) fn remove_from(&self, headers: &mut HeaderMap) {
        for (name, _) in self.lines() {
            headers.remove(name);
        }
    }
}

/// Returns an address as `X-Forwarded-For` names it.
///
/// # Errors
/// The address is no header value, which none is.
pub(crate) fn client_header(address: Ip) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&address.to_string())
}

static NAMES: [HeaderName; 5] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-request-id"),
];
