//! `Via` (RFC 9110 §7.6.3): tells upstreams that a request came through here, and finds one that runs in circles.

use http::header::{Entry, VIA};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use crate::sanitize::Refusal;

/// Adds this hop to the way that a request has come, which it received in that version.
///
/// # Errors
/// It has come through here too often: what was to be its upstream leads back.
pub(crate) fn add(headers: &mut HeaderMap, version: Version) -> Result<(), Refusal> {
    let hop = match version {
        Version::HTTP_2 => "2.0 portcullis",
        Version::HTTP_10 => "1.0 portcullis",
        _ => "1.1 portcullis",
    };
    let hop = HeaderValue::from_static(hop);
    match headers.entry(VIA) {
        Entry::Vacant(way) => drop(way.insert(hop)),
        Entry::Occupied(mut way) => {
            let hops = way.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
            if hops.filter(|hop| hop.trim_ascii().ends_with(PSEUDONYM)).count() >= MOST {
                return Err(LOOP);
            }
            way.append(hop);
        }
    }
    Ok(())
}

const PSEUDONYM: &[u8] = b" portcullis";

/// Instances may stand one behind the other; so many never do.
const MOST: usize = 8;

const LOOP: Refusal = Refusal {
    // RFC 5842 §7.2.
    status: StatusCode::LOOP_DETECTED,
    code: "request-loop",
    message: "the request has come through here too often",
};

#[cfg(test)]
mod tests;
