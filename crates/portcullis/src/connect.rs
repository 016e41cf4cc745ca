//! The client of tunnels: reaches a service behind a proxy, as the user who signs in with a browser.
//!
//! Sends nothing into a tunnel before the proxy has opened it, and never asks who the user is without their browser.

mod callback;
mod carry;
mod certificate;
mod failure;
mod proxy;
mod session_file;
mod sign_in;
mod target;

use std::path::PathBuf;
use std::sync::Arc;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use identity::Secret;

pub use self::carry::{carry, listen, standard_streams};
pub use self::failure::Failure;
pub use self::session_file::SessionFile;
pub use self::target::{Target, TargetError};

use self::proxy::{Answered, Proxy, Wishes};
use self::session_file::Kept;

/// A tunnel that the proxy has opened.
pub type Tunnel = TokioIo<Upgraded>;

/// Which service, by which proxy.
#[derive(Clone, Debug)]
pub struct Options {
    /// The service, as the route's `from` names it.
    pub target: Target,
    /// Where the proxy is; else at port 443 of the service's host.
    pub proxy: Option<Target>,
    /// The authorities of the proxy's certificate, as PEM; else the system's.
    pub ca_file: Option<PathBuf>,
    /// Where sessions are kept.
    pub directory: PathBuf,
}

/// What the person at the terminal is told.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// They are to sign in at this address.
    SignIn(&'a str),
    /// Another one on this computer has asked them already.
    Waiting,
    /// They have signed in, as this user.
    SignedIn(&'a str),
}

/// Tells the person at the terminal.
pub type Tell = Arc<dyn Fn(Notice<'_>) + Send + Sync>;

/// Opens tunnels to one service.
pub struct Client {
    proxy: Proxy,
    file: SessionFile,
    tell: Tell,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

/// A session, and whether it was made for this very tunnel.
struct Session {
    cookie: Secret,
    user: Option<String>,
    is_fresh: bool,
}

impl Session {
    fn kept(kept: Kept) -> Self {
        Self { cookie: kept.cookie, user: kept.user, is_fresh: false }
    }
}

impl Client {
    /// Makes a client. Contacts nobody.
    ///
    /// # Errors
    /// The authorities cannot be used.
    pub fn new(options: Options, tell: Tell) -> Result<Self, Failure> {
        let Options { target, proxy, ca_file, directory } = options;
        let proxy = Proxy::new(target, proxy, ca_file)?;
        let file = SessionFile::new(&directory, proxy.host(), proxy.port());
        Ok(Self { proxy, file, tell })
    }

    /// Opens a tunnel, and has the user sign in where that is wanting.
    ///
    /// # Errors
    /// The proxy cannot be reached, refuses, or nobody signed in.
    pub async fn open(&self) -> Result<Tunnel, Failure> {
        let kept = self.file.load()?;
        let mut session = kept.map(Session::kept);
        loop {
            let answered = self.proxy.open(session.as_ref().map(|session| &session.cookie)).await;
            let user = session.as_ref().and_then(|session| session.user.as_deref());
            match answered.map_err(|failure| failure.of(user))? {
                Answered::Open(tunnel) => return Ok(tunnel),
                Answered::SignIn(refusal, _) if session.as_ref().is_some_and(|session| session.is_fresh) => {
                    return Err(Failure::StillAsked(refusal));
                }
                Answered::SignIn(_, wishes) => session = Some(self.sign_in(session, &wishes).await?),
            }
        }
    }

    /// Ends the session that is kept, at the proxy and here; returns whether there was one.
    ///
    /// # Errors
    /// The proxy cannot be asked: the session is still kept.
    pub async fn sign_out(&self) -> Result<bool, Failure> {
        if self.file.load()?.is_none() {
            return Ok(false);
        }
        let _lock = self.lock().await?;
        let Some(kept) = self.file.load()? else { return Ok(false) };
        self.proxy.end_session(&kept.cookie).await?;
        self.file.remove()?;
        Ok(true)
    }

    /// Returns other ports at which a proxy of the host has a session that is kept here.
    #[must_use]
    pub fn kept_at(&self) -> Vec<u16> {
        self.file.other_ports()
    }

    /// Signs in, once for all that were refused at the same time.
    async fn sign_in(&self, refused: Option<Session>, wishes: &Wishes) -> Result<Session, Failure> {
        let _lock = self.lock().await?;
        let refused = refused.map(|session| session.cookie);
        let is_another = |kept: &Kept| Some(kept.cookie.expose()) != refused.as_ref().map(Secret::expose);
        if let Some(kept) = self.file.load()?.filter(is_another) {
            return Ok(Session::kept(kept));
        }
        let signed_in = sign_in::sign_in(&self.proxy, wishes, &self.tell).await?;
        self.file.save(&signed_in.cookie, &signed_in.user)?;
        if let Some(refused) = &refused {
            // It may be live, and only less than what is asked now. What is left of it ends by itself.
            let _ = self.proxy.end_session(refused).await;
        }
        (self.tell)(Notice::SignedIn(&signed_in.user));
        Ok(Session { cookie: signed_in.cookie, user: Some(signed_in.user), is_fresh: true })
    }

    async fn lock(&self) -> Result<std::fs::File, Failure> {
        if let Some(lock) = self.file.try_lock()? {
            return Ok(lock);
        }
        (self.tell)(Notice::Waiting);
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || file.lock())
            .await
            .unwrap_or_else(|error| Err(Failure::Local(error.to_string())))
    }
}
