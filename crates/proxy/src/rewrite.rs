//! Changes what a route changes: the path sent upstream, headers both ways, and answers without an upstream.
//!
//! What is decided and audited is what was asked for; nothing here can lead to another route's policy.

use std::borrow::Cow;

use authorize::Permit;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Response, Uri, header};

use crate::body::Content;
use crate::config::rewrite::{Answer, HeaderEdits, PathRewrite};
use crate::exchange::Exchange;
use crate::respond;
use crate::sanitize::{self, Refusal, Strictness};

/// Writes the path that is sent upstream.
///
/// # Errors
/// What comes of it is no path in normal form: `..` in it would climb out of what the route was made for.
pub(crate) fn path(rewrite: &PathRewrite, uri: &Uri) -> Result<Uri, Refusal> {
    let asked = uri.path();
    let path = match rewrite {
        PathRewrite::Prefix { from, to } => {
            let rest = asked.strip_prefix(from.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            match rest {
                Some(rest) if to.is_empty() && rest.is_empty() => Cow::Borrowed("/"),
                Some(rest) => Cow::Owned(format!("{to}{rest}")),
                // `OPTIONS *` asks for no path.
                None if asked == "*" => return Ok(uri.clone()),
                // A segment with parameters, `/app;x/y`, is below the prefix for a route, and cannot be taken off.
                None => return Err(INVALID),
            }
        }
        PathRewrite::Regex { pattern, substitution } => pattern.replace(asked, substitution),
    };
    let normal = sanitize::normalise(&path, Strictness::Lenient).map_err(|_| INVALID)?;
    if normal != path {
        return Err(INVALID);
    }
    let target = uri.query().map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
    PathAndQuery::try_from(target).map(Uri::from).map_err(|_| INVALID)
}

/// Changes headers.
pub(crate) fn headers(edits: &HeaderEdits, headers: &mut HeaderMap) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name, value.clone());
    }
    for (name, value) in &edits.add {
        headers.append(name, value.clone());
    }
}

/// Answers without an upstream a request that was allowed: the permit is spent by it.
pub(crate) fn answer(permit: Permit, answer: &Answer, exchange: &Exchange) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Bytes::new()));
    match answer {
        Answer::Redirect { status, to, append_path } => {
            *response.status_mut() = *status;
            let location = if *append_path {
                let question = if exchange.query().is_empty() { "" } else { "?" };
                Cow::Owned(format!("{}{}{question}{}", to.trim_end_matches('/'), exchange.path(), exchange.query()))
            } else {
                Cow::Borrowed(to)
            };
            if let Ok(location) = HeaderValue::from_str(&location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
        }
        Answer::Respond { status, body, content_type } => {
            *response.status_mut() = *status;
            *response.body_mut() = Content::Whole(Bytes::copy_from_slice(body.as_bytes()));
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
        }
    }
    respond::seal(response.headers_mut(), exchange);
    drop(permit);
    response
}

const INVALID: Refusal = Refusal::bad_request("path-rewrite-invalid", "the path cannot be rewritten as the route asks");

#[cfg(test)]
mod tests;
