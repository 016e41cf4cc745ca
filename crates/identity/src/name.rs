//! Names that cannot be empty and cannot be taken for one another.

use std::fmt;

/// A name that must not be empty was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not be empty")]
pub struct EmptyName;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(
            // Invariant: not empty.
            Box<str>,
        );

        impl $type {
            /// Makes the name.
            ///
            /// # Errors
            /// The text is empty.
            pub fn new(text: impl Into<Box<str>>) -> Result<Self, EmptyName> {
                let text = text.into();
                if text.is_empty() { Err(EmptyName) } else { Ok(Self(text)) }
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The `sub` claim: names somebody or something within one issuer.
    Subject
}
name! {
    /// The `iss` claim: who vouches for a subject.
    Issuer
}
name! {
    /// The `aud` claim: whom a token is for.
    Audience
}
name! {
    /// The id that the configuration gives a provider.
    ProviderId
}
