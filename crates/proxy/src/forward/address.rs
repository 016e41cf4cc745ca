//! Addresses a request to the endpoint that it goes to, in the form of the protocol that the connection speaks.

use http::header::{EXPECT, HOST};
use http::uri::{Authority, PathAndQuery};
use http::{Request, Uri, Version};

use crate::client_address::Told;
use crate::upstream::{Asked, FailureKind, FixedHost, Lease, RequestBody, Target, UpstreamFailure};

/// Writes whom the request is for: in origin-form with `Host` for HTTP/1.1 (RFC 9112 §3.2.1), with scheme and authority
/// for HTTP/2 (RFC 9113 §8.3.1) and HTTP/3 (RFC 9114 §4.3.1).
pub(super) fn address(
    request: &mut Request<RequestBody>,
    target: &Target,
    lease: &Lease,
    told: &Told,
) -> Result<(), UpstreamFailure> {
    match lease {
        Lease::Http1 { .. } => {
            if request.uri().authority().is_some() {
                *request.uri_mut() = origin_form(request.uri());
            }
            // A try over another version has added them; here they are written behind the headers.
            let was_tried = std::mem::replace(request.version_mut(), Version::HTTP_11) != Version::HTTP_11;
            let headers = request.headers_mut();
            if was_tried {
                told.remove_from(headers);
            }
            headers
                .insert(HOST, target.host.as_ref().map_or_else(|| told.host().clone(), |fixed| fixed.header.clone()));
        }
        Lease::Http2(..) | Lease::Http3(_) => {
            let authority = match &target.host {
                Some(FixedHost { authority, .. }) => authority.clone(),
                None => Authority::try_from(told.host().as_bytes())
                    .map_err(|_| UpstreamFailure::new(FailureKind::Protocol, "the host asked for is no authority"))?,
            };
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(target.endpoint.scheme());
            parts.authority = Some(authority);
            parts.path_and_query = Some(path_and_query(request.uri()));
            *request.uri_mut() = Uri::from_parts(parts)
                .map_err(|_| UpstreamFailure::new(FailureKind::Protocol, "the path cannot be sent"))?;
            let version = if matches!(lease, Lease::Http2(..)) { Version::HTTP_2 } else { Version::HTTP_3 };
            *request.version_mut() = version;
            let headers = request.headers_mut();
            headers.remove(HOST);
            told.add_to(headers);
            if version == Version::HTTP_2 {
                // HTTP/2 streams the body at once: nobody is going to ask for it.
                headers.remove(EXPECT);
                let asked = request.extensions_mut().remove::<Asked>();
                asked.into_iter().for_each(|asked| asked.0.cancel());
            }
        }
    }
    Ok(())
}

/// Returns a target in origin-form.
pub(super) fn origin_form(uri: &Uri) -> Uri {
    Uri::from(path_and_query(uri))
}

fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}
