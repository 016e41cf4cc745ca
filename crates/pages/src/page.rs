//! One type a page; `render` makes the whole document.

use askama::Template;

use crate::Look;

macro_rules! render {
    ($($page:ident from $path:tt),* $(,)?) => { $(impl $page<'_> {
        /// Makes the document.
        #[must_use]
        pub fn render(&self, look: &Look) -> String {
            #[derive(Template)]
            #[template(path = $path)]
            struct Document<'a> {
                look: &'a Look,
                page: &'a $page<'a>,
            }
            // Invariant: only strings and numbers are written, and a `String` takes them all, so this cannot fail.
            Document { look, page: self }.render().unwrap_or_default()
        }
    })* };
}
render! {
    SignIn from "sign_in.html",
    SignedOut from "signed_out.html",
    ConfirmSignOut from "confirm_sign_out.html",
    ConfirmProgram from "confirm_program.html",
    ProgramSignedIn from "program_signed_in.html",
    Account from "account.html",
    Forbidden from "forbidden.html",
    Fault from "fault.html",
}

/// The chooser of providers.
#[derive(Clone, Debug)]
pub struct SignIn<'a> {
    /// The host that the user wants to open.
    pub app: &'a str,
    /// The providers.
    pub providers: &'a [ProviderLink],
}

/// A provider to choose.
#[derive(Clone, Debug)]
pub struct ProviderLink {
    /// What is shown.
    pub name: String,
    /// Where it leads.
    pub url: String,
}

/// After sign-out.
#[derive(Clone, Debug)]
pub struct SignedOut<'a> {
    /// Where to sign in again.
    pub sign_in_url: &'a str,
}

/// Asks before a GET signs out.
#[derive(Clone, Debug)]
pub struct ConfirmSignOut<'a> {
    /// Who is signed in.
    pub user: &'a str,
    /// Where the form posts to.
    pub action: &'a str,
}

/// Asks before a program on the user's computer gets a session.
#[derive(Clone, Debug)]
pub struct ConfirmProgram<'a> {
    /// Who is signed in.
    pub user: &'a str,
    /// The host that the program wants to reach.
    pub host: &'a str,
    /// Where on this computer the program waits.
    pub program: &'a str,
    /// When its session would end, to be read by people.
    pub expires: &'a str,
    /// Where the form posts to.
    pub action: &'a str,
    /// Where to sign in as somebody else.
    pub switch_user_url: &'a str,
}

/// What the program itself shows once the browser has come.
#[derive(Clone, Debug)]
pub struct ProgramSignedIn<'a> {
    /// The host that the program wants to reach.
    pub host: &'a str,
}

/// The user's own page.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    /// The display name, or the e-mail address, or the subject.
    pub name: &'a str,
    /// The e-mail address, or empty.
    pub email: &'a str,
    /// The groups.
    pub groups: &'a [Box<str>],
    /// The provider's name.
    pub provider: &'a str,
    /// The user's sessions.
    pub sessions: &'a [AccountSession],
    /// The apps that the user may open.
    pub apps: &'a [AppLink],
    /// Where the sign-out form posts to.
    pub sign_out: &'a str,
}

/// A session on the user's own page.
#[derive(Clone, Debug)]
pub struct AccountSession {
    /// When the user signed in, to be read by people.
    pub created: String,
    /// When it ends.
    pub expires: String,
    /// Whether it is the one of this very request.
    pub current: bool,
    /// Whether a program has it.
    pub program: bool,
}

/// An app to open.
#[derive(Clone, Debug)]
pub struct AppLink {
    /// What is shown.
    pub name: String,
    /// Where it leads.
    pub url: String,
}

/// 403: a policy refused.
#[derive(Clone, Debug)]
pub struct Forbidden<'a> {
    /// `host/path` that was refused.
    pub resource: &'a str,
    /// Who is signed in; `None` when nobody is.
    pub user: Option<&'a str>,
    /// The rule's message.
    pub message: Option<&'a str>,
    /// The request id.
    pub request_id: &'a str,
    /// Where to sign in as somebody else; `None` where there is no sign-in.
    pub switch_user_url: Option<&'a str>,
}

/// 400, 404, 405, 413, 421, 431, 5xx, and failures of sign-in.
#[derive(Clone, Debug)]
pub struct Fault<'a> {
    /// The status.
    pub status: u16,
    /// A short title, such as "Page not found".
    pub title: &'a str,
    /// One or two sentences: what happened and what to do.
    pub message: &'a str,
    /// The stable code, such as `upstream_timeout`.
    pub code: &'a str,
    /// The request id.
    pub request_id: &'a str,
    /// Where to try again, where that makes sense.
    pub retry_url: Option<&'a str>,
}
