//! The HTML pages that Portcullis itself shows. Knows nothing of HTTP; what goes in is escaped here.

mod branding;
mod color;
mod page;

pub use branding::{Branding, Look};
pub use page::{
    Account, AccountSession, AppLink, ConfirmProgram, ConfirmSignOut, Fault, Forbidden, ProgramSignedIn, ProviderLink,
    SignIn, SignedOut,
};

#[cfg(test)]
mod tests;
