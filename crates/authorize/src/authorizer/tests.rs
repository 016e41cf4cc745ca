//! Tests of `authorizer`.
