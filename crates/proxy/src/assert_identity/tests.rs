//! Tests of assert_identity.
