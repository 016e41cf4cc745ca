//! `branding` to the look of our pages.

use std::path::Path;
use std::sync::Arc;

use pages::{Branding, Look};

use super::builder::Builder;
use super::fields::Fields;
use super::{format, schema};

/// Builds the look; a logo becomes part of it, so that a page needs no second request.
pub(crate) fn build(builder: &mut Builder<'_>, root: &Fields<'_>) -> Arc<Look> {
    let fields = root.section("branding", &schema::BRANDING);
    let default = Branding::default();
    let logo = fields.path("logo_file", &builder.sources).and_then(|path| match logo(&path) {
        Ok(logo) => Some(logo),
        Err(reason) => {
            // A file that is not there was reported before.
            if let Some(node) = fields.get("logo_file").filter(|_| path.is_file()) {
                builder.error(node.place, format!("`logo_file`: {reason}"));
            }
            None
        }
    });
    Arc::new(Look::new(Branding {
        name: fields.text("name").unwrap_or(&default.name).to_owned(),
        logo,
        color: fields.read("color", format::color).unwrap_or(default.color),
    }))
}

fn logo(path: &Path) -> Result<String, String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let media_type = match extension.to_ascii_lowercase().as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        _ => return Err("the file is no image that browsers show: use `.svg`, `.png`, `.jpg` or `.webp`".to_owned()),
    };
    let bytes = super::read_bytes(path, MAX_LOGO_BYTES)
        .map_err(|reason| format!("cannot read the file: {reason}; correct the path, or use a smaller image"))?;
    Ok(format!(
        "data:{media_type};base64,{}",
        base64::engine::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
    ))
}

/// Every page carries the logo.
const MAX_LOGO_BYTES: u64 = 256 * 1024;
