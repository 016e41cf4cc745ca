//! Behaviour across crates: one test binary, a module for each behaviour.
#![cfg(test)]

mod audit_log;
mod extended_connect;
mod grpc;
mod headers;
mod http2;
mod http_messages;
mod paths;
mod sessions;
mod sign_in;
mod slow;
mod tidy;
mod websocket;

type Result<T = ()> = integration::Result<T>;
