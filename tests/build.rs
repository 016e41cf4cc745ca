//! Compiles `interop/testing.proto` without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=interop/testing.proto");
    let mut compiler = protox::Compiler::new(["interop"])?;
    compiler.open_file("testing.proto")?;
    tonic_prost_build::configure().build_client(false).compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
