# Short names for what is done often. `tests/run` needs none of them.

# Everything that continuous integration checks.
check:
    tests/run

# One or more steps of it: format lint documentation dependencies rust conformance interop browser bench.
test *steps:
    tests/run {{steps}}

# The integration tests in Rust; an argument selects by name.
it *filter:
    cargo test -p integration {{filter}}

# Mends what can be mended by a tool.
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty

# The demo.
run:
    cargo run --release -- demo

# Loads the example policies and configurations.
policies:
    cargo test -p portcullis examples
