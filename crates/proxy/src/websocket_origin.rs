//! Who may open WebSockets, and how they ask: browsers send cookies along from any page, and no preflight asks before.

use http::{HeaderMap, header};
use identity::Origin;

use crate::config::WebSockets;
use crate::respond::Refused;
use crate::sanitize::Refusal;

/// Checks the `Origin` of a WebSocket handshake (RFC 6455 §10.2).
///
/// # Errors
/// The route opens none, or none for that page.
pub(crate) fn check(headers: &HeaderMap, allowed: &WebSockets, own: &Origin) -> Result<(), Refused> {
    let is = |pages: &[Origin]| {
        let mut claimed = headers.get_all(header::ORIGIN).iter();
        match (claimed.next(), claimed.next()) {
            // No browser: those always say where a page comes from.
            (None, _) => true,
            (Some(page), None) => {
                let page = page.to_str().ok().and_then(|page| page.parse::<Origin>().ok());
                page.is_some_and(|page| pages.contains(&page))
            }
            (Some(_), Some(_)) => false,
        }
    };
    let may = match allowed {
        WebSockets::Off => return Err(Refused::WebSocketsOff),
        WebSockets::Any => true,
        WebSockets::SameOrigin => is(std::slice::from_ref(own)),
        WebSockets::Origins(pages) => is(pages),
    };
    if may { Ok(()) } else { Err(Refused::CrossOrigin) }
}

/// Checks that a handshake over HTTP/1.1 has its key (RFC 6455 §4.2.1), without which no answer to it can be told from another.
///
/// # Errors
/// There is none, or more than one.
pub(crate) fn check_key(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get_all(header::SEC_WEBSOCKET_KEY).iter().count() == 1 { Ok(()) } else { Err(NO_KEY) }
}

const NO_KEY: Refusal =
    Refusal::bad_request("websocket-key-invalid", "a WebSocket is asked for without one `Sec-WebSocket-Key`");

#[cfg(test)]
mod tests;
