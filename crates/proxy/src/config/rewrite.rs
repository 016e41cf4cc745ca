//! What a route changes of requests and responses, and what it answers by itself.

use http::{HeaderName, HeaderValue, StatusCode};

/// What a route changes on the way, and what it answers without an upstream.
#[derive(Clone, Debug, Default)]
pub struct Rewrites {
    /// The path sent upstream; as it was asked for without.
    pub path: Option<PathRewrite>,
    /// Changes to what is sent upstream.
    pub request_headers: HeaderEdits,
    /// Changes to what an upstream answers.
    pub response_headers: HeaderEdits,
    /// The answer, where no upstream gives it.
    pub answer: Option<Answer>,
}

/// How the path sent upstream is made of the one that was asked for.
#[derive(Clone, Debug)]
pub enum PathRewrite {
    /// This instead of the route's prefix.
    Prefix {
        /// The route's prefix; empty where it has none.
        from: String,
        /// Without a slash at its end.
        to: String,
    },
    /// What `pattern` matches as a whole becomes `substitution`, in which `$1` and `${name}` stand for its groups.
    Regex {
        /// The pattern.
        pattern: regex::Regex,
        /// The path that it becomes.
        substitution: String,
    },
}

/// Changes to headers: removed first, then set, then added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// These instead of what there is.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// These besides what there is.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// None of these.
    pub remove: Vec<HeaderName>,
}

/// An answer without an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Another URL.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
        /// The URL, or an absolute path.
        to: String,
        /// Adds path and query of the request.
        append_path: bool,
    },
    /// A text.
    Respond {
        /// The status.
        status: StatusCode,
        /// The text.
        body: String,
        /// What kind of text.
        content_type: HeaderValue,
    },
}
