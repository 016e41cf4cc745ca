//! Claims of a token whose signature and bounds were verified.

use serde_json::{Map, Value};

/// Verified claims, read-only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Takes claims that were verified by the caller.
    #[must_use]
    pub const fn verified(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Returns the claim of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns the claim at a dotted path. A claim whose own name holds the dots (`https://example.com/groups`) is
    /// found first.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(path) {
            return Some(value);
        }
        let mut parts = path.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// Returns all claims.
    #[must_use]
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

#[cfg(test)]
mod tests;
