//! The normal form of a request's target: dot segments resolved, escapes of plain characters undone, and what has more
//! than one reading refused.

use std::borrow::Cow;

use http::Method;
use http::uri::{InvalidUri, PathAndQuery, Uri};

use super::Refusal;

mod escape;

/// Whether a path decides something on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// It does: `//` is merged, and a path that apps may read in two ways is refused.
    Strict,
    /// It does not: both pass as they came, for the apps that need them.
    Lenient,
}

/// Whether a path holds a slash or backslash that is not a separator here, but may be one to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncodedSlash {
    /// It holds none.
    Absent,
    /// It holds one.
    Present,
    /// It holds one, and read as a separator it makes a dot segment: `..%2Fadmin`.
    Climbing,
}

/// Path and query in normal form.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    raw: &'a PathAndQuery,
    // Invariant: starts with `/`, or is `*`. What is borrowed holds no escape, no backslash and no parameter.
    path: Cow<'a, str>,
    encoded_slash: EncodedSlash,
}

impl Target<'_> {
    /// Returns the path: what is routed, decided, audited and sent upstream.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the query without `?`, as it came.
    pub(crate) fn query(&self) -> Option<&str> {
        self.raw.query()
    }

    /// Returns whether the path holds an encoded slash or backslash, or a raw backslash.
    pub(crate) const fn encoded_slash(&self) -> EncodedSlash {
        self.encoded_slash
    }

    /// Returns the path as routes compare it: without the parameters of its segments (`/admin;x=1` is `/admin`).
    pub(crate) fn without_parameters(&self) -> Cow<'_, str> {
        match &self.path {
            Cow::Borrowed(plain) => Cow::Borrowed(plain),
            Cow::Owned(path) => without_parameters(path),
        }
    }

    /// Returns the path as an app reads it that takes encoded slashes for separators, without parameters.
    pub(crate) fn with_slashes_decoded(&self) -> String {
        merge_slashes(&without_parameters(&decode_slashes(&self.path))).into_owned()
    }

    /// Returns path and query for the request that goes upstream.
    pub(crate) fn to_path_and_query(&self) -> Result<PathAndQuery, InvalidUri> {
        match (&self.path, self.query()) {
            (Cow::Borrowed(_), _) => Ok(self.raw.clone()),
            (Cow::Owned(path), None) => PathAndQuery::try_from(path.as_str()),
            (Cow::Owned(path), Some(query)) => PathAndQuery::try_from(format!("{path}?{query}")),
        }
    }
}

/// Brings a target into normal form. Borrows, and allocates nothing, when it has that form already.
///
/// # Errors
/// The target is none, or has more than one reading where paths decide.
pub(crate) fn target<'a>(method: &Method, uri: &'a Uri, strictness: Strictness) -> Result<Target<'a>, Refusal> {
    // `Uri::path` would answer `/` for an HTTP/2 `:path` of `?x`, which is what must not pass.
    let raw = uri.path_and_query().ok_or(NO_SLASH)?;
    if raw.as_str() == "*" {
        let asterisk = Target { raw, path: Cow::Borrowed("*"), encoded_slash: EncodedSlash::Absent };
        return if method == Method::OPTIONS { Ok(asterisk) } else { Err(NO_SLASH) };
    }
    if !raw.as_str().starts_with('/') {
        return Err(NO_SLASH);
    }
    if let Some(query) = raw.query() {
        escape::check_query(query)?;
    }
    let path = normalise(raw.path(), strictness)?;
    let encoded_slash = match &path {
        Cow::Borrowed(_) => EncodedSlash::Absent,
        Cow::Owned(path) => encoded_slash(path),
    };
    Ok(Target { raw, path, encoded_slash })
}

/// Brings a path into normal form.
///
/// # Errors
/// As [`target`].
pub(crate) fn normalise(path: &str, strictness: Strictness) -> Result<Cow<'_, str>, Refusal> {
    if !path.starts_with('/') {
        return Err(NO_SLASH);
    }
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = escape::unescape(path)?;
    if strictness == Strictness::Lenient {
        return Ok(Cow::Owned(resolve_dots(&decoded)));
    }
    if decoded.contains('\\') {
        return Err(Refusal::bad_request("path-backslash", "the path holds a backslash"));
    }
    let merged = merge_slashes(&decoded).into_owned();
    if has_ambiguous_parameters(&merged) {
        return Err(Refusal::bad_request("path-parameters", "the path has parameters on an empty or dot segment"));
    }
    Ok(Cow::Owned(resolve_dots(&merged)))
}

/// Tells whether a path is in normal form by one look at its bytes: nothing in it needs a second one.
fn is_plain(path: &str) -> bool {
    let mut previous = 0;
    path.bytes().all(|byte| {
        let after_slash = std::mem::replace(&mut previous, byte) == b'/';
        // A dot behind a slash may begin a dot segment; the slow way finds out.
        escape::is_segment_character(byte) && byte != b';' && !(after_slash && byte == b'.')
            || byte == b'/' && !after_slash
    })
}

/// RFC 3986 §5.2.4, on a path that starts with a slash.
fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    let mut resolved = String::with_capacity(path.len());
    for segment in kept {
        resolved.push('/');
        resolved.push_str(segment);
    }
    resolved
}

fn merge_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Cow::Owned(merged)
}

/// Tells whether a segment is a dot segment, or an inner one empty, once its parameters are off. Servlet containers take
/// them off first and resolve dots afterwards, so that `/public/..;/admin` and `/public/;/../admin` are `/admin` there.
fn has_ambiguous_parameters(path: &str) -> bool {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = segment_name(segment);
        let bare = name.len() == segment.len();
        if !bare && (matches!(name, "." | "..") || name.is_empty() && segments.peek().is_some()) {
            return true;
        }
    }
    false
}

fn without_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') && !path.contains(ENCODED_SEMICOLON) {
        return Cow::Borrowed(path);
    }
    let names: Vec<&str> = path.split('/').map(segment_name).collect();
    Cow::Owned(names.join("/"))
}

/// Returns a segment up to its parameters. An encoded semicolon begins them too: some apps decode before they split.
fn segment_name(segment: &str) -> &str {
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    name.split_once(ENCODED_SEMICOLON).map_or(name, |(name, _)| name)
}

fn encoded_slash(path: &str) -> EncodedSlash {
    if !path.contains('\\') && !ENCODED_SLASHES.iter().any(|escape| path.contains(escape)) {
        return EncodedSlash::Absent;
    }
    let decoded = decode_slashes(path);
    if decoded.split('/').any(|segment| matches!(segment_name(segment), "." | "..")) {
        EncodedSlash::Climbing
    } else {
        EncodedSlash::Present
    }
}

fn decode_slashes(path: &str) -> String {
    let [slash, backslash] = ENCODED_SLASHES;
    path.replace(slash, "/").replace(backslash, "/").replace('\\', "/")
}

// In normal form escapes are upper case.
const ENCODED_SLASHES: [&str; 2] = ["%2F", "%5C"];
const ENCODED_SEMICOLON: &str = "%3B";

const NO_SLASH: Refusal = Refusal::bad_request("path-invalid", "the path does not start with a slash");

#[cfg(test)]
mod tests;
