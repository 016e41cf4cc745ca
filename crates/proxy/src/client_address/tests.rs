//! Tests of client_address.
