//! The port of loopback where a program waits for its user's browser (RFC 8252 §7.3).

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::form_urlencoded;

/// A port that waits for a browser.
#[derive(Debug)]
pub(super) struct Callback {
    listener: TcpListener,
    /// What the browser must bring: pages of other sites know the port, too, by trying all.
    state: String,
    /// What is said on the page.
    host: String,
}

impl Callback {
    /// Opens a port.
    pub(super) async fn open(state: String, host: String) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, state, host })
    }

    /// Returns where the browser is to be sent.
    pub(super) fn redirect_uri(&self) -> io::Result<String> {
        Ok(format!("http://{}/", self.listener.local_addr()?))
    }

    /// Returns the code that the browser brings. Whoever else comes is turned away.
    pub(super) async fn code(self) -> io::Result<String> {
        let callback = Arc::new(self);
        let mut visits = JoinSet::new();
        loop {
            tokio::select! {
                accepted = callback.listener.accept(), if visits.len() < MAX_VISITS => {
                    visits.spawn(Arc::clone(&callback).visit(accepted?.0));
                }
                Some(visit) = visits.join_next(), if !visits.is_empty() => {
                    if let Ok(Some(code)) = visit {
                        return Ok(code);
                    }
                }
            }
        }
    }

    /// Answers one request; returns the code that it brought, once the browser has its answer.
    async fn visit(self: Arc<Self>, stream: TcpStream) -> Option<String> {
        let found = Mutex::new(None);
        let service = service_fn(|request: Request<Incoming>| {
            let code = self.code_of(&request);
            let response = self.answer(code.is_some());
            if code.is_some() {
                *found.lock().unwrap_or_else(PoisonError::into_inner) = code;
            }
            async { Ok::<_, Infallible>(response) }
        });
        let mut server = hyper::server::conn::http1::Builder::new();
        let served = server.keep_alive(false).serve_connection(TokioIo::new(stream), service);
        let _ = timeout(PATIENCE, served).await;
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn code_of(&self, request: &Request<Incoming>) -> Option<String> {
        if request.method() != Method::GET || request.uri().path() != "/" {
            return None;
        }
        let (mut code, mut state) = (None, None);
        for (name, value) in form_urlencoded::parse(request.uri().query()?.as_bytes()) {
            match &*name {
                "code" => code = Some(value),
                "state" => state = Some(value),
                _ => {}
            }
        }
        (state? == *self.state).then_some(code?.into_owned())
    }

    fn answer(&self, is_expected: bool) -> Response<Full<Bytes>> {
        let look = pages::Look::new(pages::Branding::default());
        let (status, content_type, body) = if is_expected {
            let page = pages::ProgramSignedIn { host: &self.host }.render(&look);
            (StatusCode::OK, "text/html; charset=utf-8", page)
        } else {
            (StatusCode::NOT_FOUND, "text/plain", "There is nothing here.\n".to_owned())
        };
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(policy) = HeaderValue::try_from(look.content_security_policy()) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// How many connections are served at once: browsers open some ahead of need.
const MAX_VISITS: usize = 16;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
