//! What the demo says when it is ready, to people and to programs.

use std::path::Path;

use askama::Template;
use serde_json::{Map, Value, json};

use crate::{Demo, provider::User};

#[derive(Template)]
#[template(path = "guide.txt", escape = "none")]
struct Guide<'a> {
    folder: String,
    ca: String,
    port: u16,
    admin: String,
    users: &'a [User],
}

impl Demo {
    /// Says what to open, whom to sign in as, and what to try.
    ///
    /// # Errors
    /// The text cannot be made.
    pub fn guide(&self) -> Result<String, askama::Error> {
        let folder = self.config_file().parent().unwrap_or(Path::new("."));
        Guide {
            folder: shell(folder),
            ca: shell(self.ca_file()),
            port: self.port(),
            admin: self.admin_url(),
            users: self.users(),
        }
        .render()
    }

    /// Says the same to programs: `ca_file`, `config_file`, `audit_dir`, `admin`, `users`, `urls`.
    #[must_use]
    pub fn summary(&self) -> Value {
        let users = self
            .users()
            .iter()
            .map(|user| json!({ "id": user.id, "name": user.name, "email": user.email, "groups": user.groups }));
        let urls = self.urls().map(|(name, url)| (name.to_owned(), json!(url)));
        json!({
            "ca_file": self.ca_file(),
            "config_file": self.config_file(),
            "audit_dir": self.audit_dir(),
            "admin": self.admin_url(),
            "users": users.collect::<Vec<_>>(),
            "urls": Map::from_iter(urls),
        })
    }
}

/// Writes a path as a shell reads it: relative where that is shorter, quoted where it must be.
fn shell(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    let text = short.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
