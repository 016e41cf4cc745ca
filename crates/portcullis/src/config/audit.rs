//! The `audit` section.

use std::path::Path;

use ::audit::{Durability, Mode, Redact, Redaction, Retention, SigningKey};
use authorize::sounds_secret;
use proxy::{KeepInput, RecordInputs};

use super::builder::Builder;
use super::fields::Fields;
use super::schema;
use super::source::Sources;
use super::tree::quoted;

/// Reads the section; returns nothing where something in it is wrong, which was reported.
pub(super) fn build(root: &Fields<'_>, sources: &Sources) -> Option<::audit::Config> {
    let fields = root.section("audit", &schema::AUDIT);
    let folder = root.place().map(|place| sources.folder(place.file)).unwrap_or_else(|| Path::new(""));
    let signing_key = match fields.path("signing_key", sources) {
        Some(path) => Some(signing_key(&path).ok()?),
        None => None,
    };
    let retention = fields.section("retention", &schema::RETENTION);
    Some(::audit::Config {
        dir: folder.join(fields.text("dir")?),
        instance: fields.text("instance").map_or_else(host_name, str::to_owned),
        mode: if fields.text("mode") == Some("buffered") { Mode::Buffered } else { Mode::Strict },
        durability: if fields.text("durability") == Some("disk") { Durability::Disk } else { Durability::Os },
        stdout: fields.flag("stdout"),
        segment_bytes: fields.size("segment_size")?,
        segment_age: fields.duration("segment_age")?,
        compress: fields.flag("compress"),
        retention: Retention { age: retention.duration("age"), bytes: retention.size("size") },
        redaction: redaction(&fields.section("redact", &schema::REDACT)),
        signing_key,
    })
}

/// Reads the expressions of `audit.fields`.
pub(super) fn fields<'n>(builder: &mut Builder<'n>, root: &Fields<'n>) -> Vec<authorize::Rule> {
    let fields = root.section("audit", &schema::AUDIT);
    fields.table("fields").filter_map(|(name, node)| builder.expression(node, name)).collect()
}

fn redaction(fields: &Fields<'_>) -> Redaction {
    let redact = |key| match fields.text(key) {
        Some("hash") => Redact::Hash,
        Some("truncate") => Redact::Truncate,
        Some("remove") => Redact::Remove,
        // A word that is none of them was reported.
        Some(_) | None => Redact::Keep,
    };
    Redaction {
        client_ip: redact("client_ip"),
        peer_ip: redact("peer_ip"),
        user_id: redact("user.id"),
        user_email: redact("user.email"),
        user_groups: redact("user.groups"),
        session: redact("session"),
        path: redact("path"),
        query_keys: redact("query_keys"),
        user_agent: redact("user_agent"),
    }
}

/// Reads what is kept of inputs, and refuses patterns that ask for what is never written or never read.
pub(super) fn inputs(builder: &mut Builder<'_>, root: &Fields<'_>) -> RecordInputs {
    let fields = root.section("audit", &schema::AUDIT);
    let mut patterns = Vec::new();
    for (pattern, node) in fields.table("record_inputs") {
        let how = match node.text() {
            Some("none") => KeepInput::None,
            Some("hashed") => KeepInput::Hashed,
            Some("redacted") => KeepInput::Redacted,
            Some("full") => KeepInput::Full,
            _ => continue,
        };
        let name = pattern.rsplit('.').next().unwrap_or_default();
        let keeps = matches!(how, KeepInput::Full | KeepInput::Hashed);
        if !["*", "request.", "user.", "session."].iter().any(|start| pattern.starts_with(start)) {
            let message =
                format!("no expression reads {}: write a pattern such as `request.headers.x-*`", quoted(pattern));
            builder.error(node.place, message);
        } else if keeps && pattern.matches('.').count() >= 2 && sounds_secret(name) {
            let message = format!("{} may hold a credential, which is never written: remove it", quoted(pattern));
            builder.error(node.place, message);
        }
        patterns.push((pattern.to_owned(), how));
    }
    RecordInputs { patterns }
}

/// Reads a key that signs segments.
pub(super) fn signing_key(path: &Path) -> Result<SigningKey, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    SigningKey::from_pem(&pem).map_err(|error| error.to_string())
}

/// Returns the name of this host as far as it can stand in the name of a file.
pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().take(MAX_INSTANCE).map(|c| if is_of_instance(c) { c } else { '-' }).collect();
    if name.is_empty() { "portcullis".to_owned() } else { name }
}

/// Reads the name of a chain: a part of the names of files.
pub(super) fn instance(text: &str) -> Result<&str, &'static str> {
    let is_name = (1..=MAX_INSTANCE).contains(&text.len()) && text.chars().all(is_of_instance);
    if is_name { Ok(text) } else { Err("no name of a chain: write 1 to 63 letters, digits, `.`, `_` or `-`") }
}

const fn is_of_instance(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

const MAX_INSTANCE: usize = 63;
