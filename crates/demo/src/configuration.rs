//! The configuration in the folder: written once, then the reader's, but for the addresses.

use askama::Template;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::DemoError;
use crate::folder::Folder;

/// What in the configuration is another at each start.
#[derive(Template, Serialize, Deserialize)]
#[template(path = "portcullis.yaml", escape = "none")]
pub(crate) struct Addresses {
    pub(crate) proxy: String,
    pub(crate) listener: String,
    pub(crate) admin: String,
    pub(crate) provider: String,
    pub(crate) web: String,
    pub(crate) grpc: String,
}

impl Addresses {
    fn moved_to(&self, new: &Self, mut text: String) -> String {
        let (old, new) = (self.each(), new.each());
        // By way of marks, because an address may be that of another server now.
        for (place, old) in old.iter().enumerate() {
            text = replace(&text, old, &format!("\0{place}\0"));
        }
        for (place, new) in new.iter().enumerate() {
            text = text.replace(&format!("\0{place}\0"), new);
        }
        text
    }

    fn each(&self) -> [&str; 6] {
        [&self.proxy, &self.listener, &self.admin, &self.provider, &self.web, &self.grpc]
    }
}

/// Writes the configuration, or brings the addresses in the one of an earlier start up to date: the rest of it is the
/// reader's.
pub(crate) fn write(folder: &Folder, addresses: &Addresses) -> Result<(), DemoError> {
    let earlier = folder.read(ADDRESSES)?.and_then(|text| serde_json::from_str::<Addresses>(&text).ok());
    let text = match (folder.read(FILE)?, earlier) {
        (Some(text), Some(earlier)) => earlier.moved_to(addresses, text),
        _ => format!("{}\n", addresses.render()?),
    };
    folder.write(FILE, &text)?;
    folder.write(ADDRESSES, &json!(addresses).to_string())
}

/// Replaces an address, but not one that merely begins with it.
fn replace(text: &str, old: &str, new: &str) -> String {
    let mut parts = text.split(old);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        replaced += if part.starts_with(|c: char| c.is_ascii_digit()) { old } else { new };
        replaced += part;
    }
    replaced
}

/// The file.
pub(crate) const FILE: &str = "portcullis.yaml";

/// Where the addresses of the latest start stand.
const ADDRESSES: &str = "addresses.json";
