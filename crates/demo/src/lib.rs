//! A provider, apps and certificates on loopback, for `portcullis demo` and for tests.
