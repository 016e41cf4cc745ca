//! What a company may change about our pages: `branding`.

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::color::Color;

/// Name, logo and colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// Shown in the title and the heading. Default `Portcullis`.
    pub name: String,
    /// The logo as a `data:` URI, made at load, so that a page needs no second request.
    pub logo: Option<String>,
    /// The accent colour, `#rrggbb`; checked at load.
    pub color: String,
}

impl Default for Branding {
    fn default() -> Self {
        Self { name: "Portcullis".into(), logo: None, color: ACCENT.to_string() }
    }
}

/// The look of all pages, made once at load: the style sheet with the colour in it, and the policy that lets a browser
/// apply that style sheet and nothing else.
#[derive(Clone, Debug)]
pub struct Look {
    branding: Branding,
    style: String,
    icon: String,
    content_security_policy: String,
}

impl Look {
    /// Makes the look.
    ///
    /// The accent colour is darkened or lightened as far as text in it needs to be read in light and in dark mode.
    #[must_use]
    pub fn new(branding: Branding) -> Self {
        let accent = Color::parse(&branding.color).unwrap_or(ACCENT);
        let light = accent.darkened_for(&LIGHT_GROUNDS);
        let dark = accent.lightened_for(&DARK_GROUNDS);
        let style = STYLE.replace("%light%", &light.to_string()).replace("%dark%", &dark.to_string());
        let content_security_policy = content_security_policy(&style);
        let icon = branding.logo.clone().unwrap_or_else(|| icon(light));
        Self { branding, style, icon, content_security_policy }
    }

    /// Returns the branding.
    #[must_use]
    pub const fn branding(&self) -> &Branding {
        &self.branding
    }

    /// Returns the value of the `Content-Security-Policy` header that every page is sent with.
    #[must_use]
    pub fn content_security_policy(&self) -> &str {
        &self.content_security_policy
    }

    pub(crate) fn style(&self) -> &str {
        &self.style
    }

    pub(crate) fn icon(&self) -> &str {
        &self.icon
    }
}

/// Makes the policy of all pages.
///
/// There is no `form-action`: browsers apply it to the redirects that answer a form too, and would stop sign-out on its
/// way to the provider's `end_session_endpoint`. The pages have no field that an injected form could steal, and what is
/// put into them is escaped.
fn content_security_policy(style: &str) -> String {
    let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
}

/// Draws the icon of the browser's tab for companies without a logo.
fn icon(accent: Color) -> String {
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='{accent}' stroke-width='2' \
         stroke-linecap='round' stroke-linejoin='round'><path d='M3 21V10a9 9 0 0 1 18 0v11M9 2v20M15 2v20M3 \
         10h18M3 16h18'/></svg>"
    );
    format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg))
}

const ACCENT: Color = Color::new(0x1f, 0x5f, 0xbf);

/// The backgrounds in `style.css` that carry text in the accent colour, or a button in it, in either mode.
const LIGHT_GROUNDS: [Color; 2] = [Color::WHITE, Color::new(0xf3, 0xf5, 0xf8)];
const DARK_GROUNDS: [Color; 3] =
    [Color::new(0x0f, 0x12, 0x16), Color::new(0x18, 0x1c, 0x22), Color::new(0x20, 0x26, 0x2e)];

const STYLE: &str = include_str!("../templates/style.css").trim_ascii();
