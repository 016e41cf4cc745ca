//! The sample gRPC service, in cleartext HTTP/2, with reflection.

mod greeter;

use std::net::SocketAddr;

use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::Server as Transport;

use crate::DemoError;
use crate::server::{Server, Tasks, bind};

/// A running gRPC service.
#[derive(Debug)]
pub struct Grpc {
    server: Server,
}

impl Grpc {
    /// Starts the service on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start() -> Result<Self, DemoError> {
        let listener = bind().await.map_err(DemoError::Bind)?;
        let address = listener.local_addr().map_err(DemoError::Bind)?;
        let reflection =
            tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        let tasks = Tasks::default();
        let service = proto::greeter_server::GreeterServer::new(greeter::Sample);
        let transport = Transport::builder().add_service(service).add_service(reflection.build_v1()?);
        let stop = tasks.stop.clone().cancelled_owned();
        tasks.tracker.spawn(transport.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop));
        Ok(Self { server: Server::of(address, tasks) })
    }

    /// Returns where the service listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops the service.
    pub async fn shutdown(&self) {
        self.server.shutdown().await;
    }
}

#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    clippy::too_many_lines,
    reason = "the generator writes as it does"
)]
pub mod proto {
    //! Made by `build.rs` from `proto/demo.proto`.

    tonic::include_proto!("portcullis.demo.v1");
}

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.binpb"));

#[cfg(test)]
mod tests;
