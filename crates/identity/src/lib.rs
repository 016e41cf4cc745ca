//! Who is calling: the nouns that all other crates share. No I/O, no async, no HTTP.

mod address;
mod claims;
mod clock;
mod identity;
mod name;
mod origin;
mod secret;

pub use address::{AddressSource, ClientAddress, InvalidAddress, Ip};
pub use claims::Claims;
#[cfg(feature = "test-util")]
pub use clock::FixedClock;
pub use clock::{Clock, SystemClock};
pub use identity::{Identity, Kind, Proof, Verified};
pub use name::{Audience, EmptyName, Issuer, ProviderId, Subject};
pub use origin::{InvalidOrigin, Origin, Scheme};
pub use secret::Secret;
