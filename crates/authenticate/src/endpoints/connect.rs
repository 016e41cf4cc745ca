//! `/.portcullis/connect`: a program on the user's computer asks for a session of its own, the user confirms it in a
//! browser, and the program redeems the code that the browser brings it (RFC 8252, RFC 7636).

mod asked;
mod code;
mod error;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use serde_json::json;

use self::asked::Asked;
use self::code::{Code, Redemption};
use self::error::ConnectError;
use super::answer::{self, Fault, Query};
use super::backchannel_logout::{PATIENCE, form};
use super::{Endpoint, EventKind, Shared, account, sign_out};
use crate::handoff::sign_in_url;
use crate::{Outcome, Session, StoreError, cookie};

/// Asks the user whether the program may have a session, once it is known who they are: a link, which any site can hold,
/// hands nothing out.
pub(super) async fn ask(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    std::future::ready(match asked(&shared, &endpoint, &request) {
        Ok((asked, session)) => {
            let document = pages::ConfirmProgram {
                user: account::display_name(session.identity()),
                host: endpoint.origin.host(),
                program: &asked.callback.to_string(),
                expires: &account::readable(session.expires()),
                action: &asked.url(),
                switch_user_url: &format!("{}&prompt=select_account", sign_in_url(&asked.url())),
            };
            answer::page(StatusCode::OK, document.render(&shared.config.look))
        }
        Err(response) => *response,
    })
    .await
}

/// Sends the browser to the program with a code: the user has confirmed.
pub(super) async fn confirm(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    if !sign_out::is_from_own_page(request.headers(), &endpoint.origin) {
        return refused(&shared, &endpoint, &ConnectError::CrossSite);
    }
    match asked(&shared, &endpoint, &request) {
        Ok((asked, session)) => match Code::issue(&shared, &endpoint.origin, &asked, session).await {
            Ok(code) => answer::redirect(&asked.callback_url(&code)),
            Err(error) => refused(&shared, &endpoint, &error.into()),
        },
        Err(response) => *response,
    }
}

/// Gives the program that knows the verifier its session.
pub(super) async fn redeem(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    if !endpoint.programs {
        return answer::missing(&shared, &endpoint);
    }
    let redeemed = async {
        let form = form(request.into_body(), PATIENCE).await.map_err(|_| ConnectError::CodeInvalid)?;
        let redemption = Redemption::of(&form).ok_or(ConnectError::CodeInvalid)?;
        let sign_in = redemption.redeem(&shared, &endpoint.origin).await?;
        let issued = shared.sessions.issue_handle(&sign_in, &endpoint.origin).await?;
        issued.ok_or(ConnectError::SessionEnded)
    };
    let (set_cookie, session) = match redeemed.await {
        Ok(issued) => issued,
        Err(error) => return told_to_program(&endpoint, &error),
    };
    // Not as `Set-Cookie`: a browser that is made to redeem a stranger's code must not become signed in by it.
    let answered = json!({
        "cookie": cookie::pair(&set_cookie),
        "user": account::display_name(session.identity()),
        "session": session.id().as_str(),
        "expires": session.expires().to_string(),
    });
    let response = answer::json(StatusCode::CREATED, &answered);
    answer::with_event(response, EventKind::SignIn, Some(session), "handed-to-program", None)
}

/// Ends the session that a program has. No page of another site can send this without being asked first (CORS).
pub(super) async fn end(State(shared): State<Shared>, Extension(endpoint): Extension<Endpoint>) -> Response {
    let unavailable = |error: &StoreError| told_to_program(&endpoint, &StoreError::Failed(error.to_string()).into());
    match &endpoint.outcome {
        Outcome::Authenticated(session) => match shared.sessions.end(session).await {
            Ok(programs) => {
                let response = answer::json(StatusCode::OK, &json!({ "ended": session.id().as_str() }));
                let session = Some(Arc::clone(session));
                let response = answer::with_event(response, EventKind::SignOut, session, "signed-out", None);
                answer::with_ended(response, programs)
            }
            Err(error) => unavailable(&error),
        },
        Outcome::NotAuthenticated => answer::json(StatusCode::OK, &json!({ "ended": null })),
        Outcome::Unavailable(error) => unavailable(error),
    }
}

/// Returns what a program asks and the session that it asks it of; else what is answered instead.
fn asked<'a>(
    shared: &Shared,
    endpoint: &'a Endpoint,
    request: &Request<Body>,
) -> Result<(Asked, &'a Arc<Session>), Box<Response>> {
    if !endpoint.programs {
        return Err(Box::new(answer::missing(shared, endpoint)));
    }
    // Never a redirect: what is wrong with the request may be where it wants the browser to go (RFC 6749 §4.1.2.1).
    let asked = Asked::of(&Query::of(request.uri()))
        .ok_or_else(|| Box::new(refused(shared, endpoint, &ConnectError::RequestInvalid)))?;
    match &endpoint.outcome {
        // A stolen handle of a program must not beget another, which would outlive its end.
        Outcome::Authenticated(session) if session.is_program() => {
            Err(Box::new(refused(shared, endpoint, &ConnectError::AskedByProgram)))
        }
        Outcome::Authenticated(session) if asked.is_content_with(session, shared.clock.now()) => Ok((asked, session)),
        Outcome::Authenticated(_) | Outcome::NotAuthenticated => Err(Box::new(answer::redirect(&asked.sign_in_url()))),
        Outcome::Unavailable(_) => Err(Box::new(answer::store_unavailable(shared, endpoint))),
    }
}

fn refused(shared: &Shared, endpoint: &Endpoint, error: &ConnectError) -> Response {
    let fault = Fault {
        status: error.status(),
        title: "Not signed in",
        message: error.message(),
        code: error.reason(),
        retry_url: None,
    };
    let response = answer::fault(&shared.config, &endpoint.request_id, &fault);
    answer::with_event(response, EventKind::SignIn, None, error.reason(), Some(error.to_string().into()))
}

fn told_to_program(endpoint: &Endpoint, error: &ConnectError) -> Response {
    let told = json!({ "error": error.reason(), "message": error.message(), "request_id": &*endpoint.request_id });
    let response = answer::json(error.status(), &told);
    let text = Some(error.to_string().into());
    match error {
        ConnectError::CodeReplayed(ended) => {
            answer::with_event(response, EventKind::Revoke, ended.clone(), error.reason(), text)
        }
        ConnectError::RequestInvalid
        | ConnectError::CrossSite
        | ConnectError::AskedByProgram
        | ConnectError::CodeInvalid
        | ConnectError::VerifierMismatch
        | ConnectError::TooManyPrograms
        | ConnectError::SessionEnded
        | ConnectError::Store(_) => answer::with_event(response, EventKind::SignIn, None, error.reason(), text),
    }
}
