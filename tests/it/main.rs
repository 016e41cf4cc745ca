//! Behaviour across crates: one test binary, a module for each behaviour.
#![cfg(test)]

mod admin;
mod audit_log;
mod bodies;
mod connect;
mod drain;
mod egress;
mod extended_connect;
mod forwarding;
mod grpc;
mod headers;
mod http2;
mod http_messages;
mod made_up_requests;
mod operators;
mod passthrough;
mod paths;
mod receivers;
mod refresh;
mod reload;
mod rewrites;
mod sessions;
mod sign_in;
mod slow;
mod step_up;
mod streams;
mod tables;
mod tidy;
mod tunnel;
mod upstream_protocols;
mod websocket;

type Result<T = ()> = integration::Result<T>;
