//! The names of the fields of a table, so that a rule that reads another is noticed at load.

use std::collections::BTreeMap;

use crate::value::Value;

/// The names that fields have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(pub(crate) BTreeMap<Box<str>, Self>);

impl Names {
    pub(super) fn of(names: impl IntoIterator<Item = Box<str>>) -> Self {
        Self(names.into_iter().map(|name| (name, Self::default())).collect())
    }

    /// Takes the names in a value in, as long as there is something `left` of the values to look at.
    pub(super) fn collect(&mut self, value: &Value<'_>, left: &mut usize) {
        *left = left.saturating_sub(1);
        let Value::Map(map) = value else { return };
        for name in map.keys().iter().take(*left) {
            if let Value::Text(text) = &name
                && let Some(below) = self.below(text)
                && let Some(value) = map.get_text(text)
            {
                below.collect(&value, left);
            }
        }
    }

    /// Takes the names below `name` in, as far as there is room for them: an object with a thousand members has ids in
    /// the place of names.
    fn below(&mut self, name: &str) -> Option<&mut Self> {
        if !self.0.contains_key(name) {
            if self.0.len() == MAX_NAMES {
                return None;
            }
            self.0.insert(name.into(), Self::default());
        }
        self.0.get_mut(name)
    }
}

/// Names that are remembered side by side.
const MAX_NAMES: usize = 500;
