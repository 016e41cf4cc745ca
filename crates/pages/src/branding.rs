//! What a company may change about our pages: `branding`.

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
        Self { name: "Portcullis".into(), logo: None, color: "#1f5fbf".into() }
    }
}

/// The look of all pages, made once at load: the style sheet with the colour in it, and the policy that lets a browser
/// apply that style sheet and nothing else.
#[derive(Clone, Debug)]
pub struct Look {
    branding: Branding,
    content_security_policy: String,
}

impl Look {
    /// Makes the look.
    #[must_use]
    pub fn new(branding: Branding) -> Self {
        Self { branding, content_security_policy: String::new() }
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
}
