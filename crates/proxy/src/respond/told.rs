//! What a caller is told of each refusal: status, stable code, words, and the status of gRPC.

use http::StatusCode;

use super::{AHEAD, Refused};
use crate::decide_again::Closed;
use crate::upstream::FailureKind;

/// What the caller is told, whatever its form.
pub(super) struct Told<'a> {
    pub(super) status: StatusCode,
    pub(super) code: &'a str,
    pub(super) title: &'a str,
    pub(super) message: &'a str,
    pub(super) grpc: u16,
}

/// Returns what the caller is told of a refusal: here alone a status is chosen.
pub(super) fn told(refused: &Refused) -> Told<'_> {
    let told = |status, code, title, message, grpc| Told { status, code, title, message, grpc };
    match refused {
        Refused::Malformed(refusal) => {
            let title = refusal.status.canonical_reason().unwrap_or("Bad request");
            told(refusal.status, refusal.code, title, refusal.message, grpc_code::INTERNAL)
        }
        Refused::MethodNotAllowed(_) => told(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed",
            "This method is not allowed here.",
            grpc_code::UNIMPLEMENTED,
        ),
        Refused::Misdirected => told(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected_request",
            "Wrong connection",
            "This host is served over a connection of its own. Open the page again.",
            grpc_code::UNAVAILABLE,
        ),
        // With this status a client opens a new connection, and shows the certificate that it has now.
        Refused::CertificateEnded => told(
            StatusCode::MISDIRECTED_REQUEST,
            "client_certificate_ended",
            "Certificate no longer valid",
            "Your certificate has ended or was withdrawn. Renew it, and connect again.",
            grpc_code::UNAUTHENTICATED,
        ),
        Refused::RateLimited(_) => told(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many requests",
            "You have asked for this too often. Wait a moment, and try again.",
            grpc_code::RESOURCE_EXHAUSTED,
        ),
        Refused::BodyTooLarge => too_large(),
        Refused::NotFound => {
            no_route("Page not found", "There is no app at this address. Check the address for a typing mistake.")
        }
        Refused::OnlyTunnels => no_route(
            "No page here",
            "This address takes no requests but CONNECT: open a tunnel with `portcullis connect`.",
        ),
        Refused::WebSocketsOff => told(
            StatusCode::FORBIDDEN,
            "websockets_off",
            "Not allowed",
            "This app opens no WebSockets.",
            grpc_code::PERMISSION_DENIED,
        ),
        Refused::CrossOrigin => told(
            StatusCode::FORBIDDEN,
            "cross_origin_websocket",
            "Not allowed",
            "A page of another site may not open a WebSocket here.",
            grpc_code::PERMISSION_DENIED,
        ),
        Refused::UpgradeUnsupported => told(
            StatusCode::NOT_IMPLEMENTED,
            "upgrade_not_supported",
            "Not supported",
            "No protocol but WebSocket can be upgraded to.",
            grpc_code::UNIMPLEMENTED,
        ),
        Refused::Challenge(challenge) => {
            told(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in", &challenge.sign_in, grpc_code::UNAUTHENTICATED)
        }
        Refused::Denied(denial) => told(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Access denied",
            denial.message.as_deref().unwrap_or("You are not allowed to open this."),
            grpc_code::PERMISSION_DENIED,
        ),
        Refused::Closed(closed) => no_longer_allowed(closed),
        Refused::SessionStoreUnavailable(_) => unavailable("session_store_unavailable"),
        Refused::AuditUnavailable(_) => unavailable("audit_unavailable"),
        Refused::IdentityUnavailable { .. } => unavailable("identity_unavailable"),
        Refused::Upstream(failure) => told_of_upstream(failure.kind),
    }
}

fn no_longer_allowed(closed: &Closed) -> Told<'static> {
    Told {
        status: StatusCode::FORBIDDEN,
        code: "no_longer_allowed",
        title: "No longer allowed",
        message: "Your session has ended, or you may not do this any more.",
        grpc: closed.grpc_code(),
    }
}

const fn no_route(title: &'static str, message: &'static str) -> Told<'static> {
    Told { status: StatusCode::NOT_FOUND, code: "no_route", title, message, grpc: grpc_code::UNIMPLEMENTED }
}

const fn too_large() -> Told<'static> {
    Told {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "request_body_too_large",
        title: "Too large",
        message: "This app does not take so much at once.",
        grpc: grpc_code::RESOURCE_EXHAUSTED,
    }
}

fn unavailable(code: &str) -> Told<'_> {
    Told {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code,
        title: "Not available right now",
        message: "Access cannot be checked right now. Try again in a moment.",
        grpc: grpc_code::UNAVAILABLE,
    }
}

pub(super) fn told_of_upstream(kind: FailureKind) -> Told<'static> {
    let bad_gateway = |code, message| Told {
        status: StatusCode::BAD_GATEWAY,
        code,
        title: "The app cannot be reached",
        message,
        grpc: grpc_code::UNAVAILABLE,
    };
    match kind {
        FailureKind::Connect | FailureKind::Silence => {
            bad_gateway("upstream_connect_error", "The app does not answer. Try again in a moment.")
        }
        FailureKind::Tls => {
            bad_gateway("upstream_tls_error", "No secure connection to the app could be made. Tell its operator.")
        }
        FailureKind::Protocol => {
            bad_gateway("upstream_protocol_error", "The app broke off its answer. Try again in a moment.")
        }
        FailureKind::Credential => bad_gateway(
            "upstream_credential_error",
            "Portcullis could not prove itself to the app. Try again in a moment, or tell its operator.",
        ),
        FailureKind::NoHealthyUpstream => Told {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "no_healthy_upstream",
            title: "The app is not available",
            message: "No server of this app is available. Try again in a moment.",
            grpc: grpc_code::UNAVAILABLE,
        },
        FailureKind::Timeout => Told {
            status: StatusCode::GATEWAY_TIMEOUT,
            code: "upstream_timeout",
            title: "The app took too long",
            message: "The app did not answer in time. Try again in a moment.",
            grpc: grpc_code::DEADLINE_EXCEEDED,
        },
        FailureKind::BodyTooLarge => too_large(),
        FailureKind::ClientSilent => Told {
            status: StatusCode::REQUEST_TIMEOUT,
            code: "request_body_timeout",
            title: "The request took too long",
            message: "The rest of the request did not come in time.",
            grpc: grpc_code::DEADLINE_EXCEEDED,
        },
        FailureKind::ClientAhead => Told {
            status: AHEAD.status,
            code: AHEAD.code,
            title: "Bad request",
            message: AHEAD.message,
            grpc: grpc_code::INTERNAL,
        },
        FailureKind::ClientBody => Told {
            status: StatusCode::BAD_REQUEST,
            code: "request_body_broken",
            title: "The request broke off",
            message: "The request ended before its body was complete.",
            grpc: grpc_code::CANCELLED,
        },
    }
}

/// Statuses of gRPC (`code.proto`).
mod grpc_code {
    pub(super) const CANCELLED: u16 = 1;
    pub(super) const DEADLINE_EXCEEDED: u16 = 4;
    pub(super) const PERMISSION_DENIED: u16 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u16 = 8;
    pub(super) const UNIMPLEMENTED: u16 = 12;
    pub(super) const INTERNAL: u16 = 13;
    pub(super) const UNAVAILABLE: u16 = 14;
    pub(super) const UNAUTHENTICATED: u16 = 16;
}
