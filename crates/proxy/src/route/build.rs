//! Builds the table, and finds the routes that could never match.

use std::borrow::Cow;

use regex::Regex;

use super::path::Pattern;
use super::{Candidate, Table};
use crate::BuildError;
use crate::config::{Path, Route};
use crate::own_endpoints;
use crate::sanitize::{Strictness, normalise};

/// Builds the table of all routes.
pub(super) fn table(routes: &[Route], reads_path: impl Fn(usize) -> bool) -> Result<Table, Vec<BuildError>> {
    let mut table = Table::default();
    let mut errors = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        if let Some(port) = route.tunnel {
            let first = *table.tunnels.entry(&route.host).entry(port).or_insert(index);
            if let Some(first) = routes.get(first).filter(|_| first != index) {
                errors.push(BuildError::Unreachable { first: first.name.clone(), second: route.name.clone() });
            }
            continue;
        }
        let pattern = match pattern(&route.path) {
            Ok(pattern) => pattern,
            Err(reason) => {
                errors.push(BuildError::UnusablePath { route: route.name.clone(), reason });
                continue;
            }
        };
        let host = table.entry(route.scheme, &route.host);
        if decides(&pattern) || reads_path(index) {
            host.strictness = Strictness::Strict;
        }
        let candidate = Candidate {
            index,
            methods: route.methods.iter().map(|method| method.as_str().into()).collect(),
            encoded_slashes: route.encoded_slashes,
        };
        let group = host.paths.group(pattern);
        let first =
            group.iter().find(|earlier| earlier.covers(&candidate)).and_then(|earlier| routes.get(earlier.index));
        match first {
            Some(first) => {
                errors.push(BuildError::Unreachable { first: first.name.clone(), second: route.name.clone() });
            }
            None => group.push(candidate),
        }
    }
    if errors.is_empty() { Ok(table) } else { Err(errors) }
}

fn decides(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Exact(_) | Pattern::Regex(_) => true,
        Pattern::Prefix(prefix) => !prefix.is_empty(),
    }
}

fn pattern(path: &Path) -> Result<Pattern, String> {
    match path {
        Path::Any => Ok(Pattern::Prefix(String::new())),
        Path::Exact(path) => Ok(Pattern::Exact(normal(path)?.into_owned())),
        Path::Prefix(path) => Ok(Pattern::Prefix(normal(path)?.trim_end_matches('/').to_owned())),
        Path::Regex(regex) => {
            let anchored = Regex::new(&format!(r"\A(?:{})\z", regex.as_str()));
            anchored
                .map(Pattern::Regex)
                .map_err(|_| format!("regex `{}` cannot be anchored: leave out comments", regex.as_str()))
        }
    }
}

/// Brings a path into the form that requests are compared in.
fn normal(path: &str) -> Result<Cow<'_, str>, String> {
    let normal = normalise(path, Strictness::Strict).map_err(|refusal| format!("`{path}`: {}", refusal.message))?;
    if ["%2F", "%5C", ";", "%3B"].iter().any(|part| normal.contains(part)) {
        return Err(format!("`{path}`: encoded slashes and parameters (`;`) are not compared: leave them out"));
    }
    if own_endpoints::is_own(&normal) {
        return Err(format!("`{path}` is reserved for Portcullis: choose another path"));
    }
    Ok(normal)
}
