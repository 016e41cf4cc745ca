//! The `portcullis` binary: parses arguments, calls the library, exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::cli::main()
}
