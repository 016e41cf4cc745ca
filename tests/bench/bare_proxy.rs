//! The bound that Portcullis is measured against: a reverse proxy of bare hyper, with TLS and nothing else.
//! `bare-proxy CERT KEY UPSTREAM_ADDRESS` prints its own address.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cert, key, upstream] = arguments.as_slice() else {
        return Err("usage: bare-proxy CERT KEY UPSTREAM_ADDRESS".into());
    };
    let upstream: SocketAddr = upstream.parse()?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(cert, key)?));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(connector);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(acceptor.clone(), stream, client.clone(), upstream));
    }
}

#[expect(clippy::print_stdout, reason = "the address is what this program answers")]
fn announce(address: SocketAddr) {
    println!("{address}");
}

fn tls(cert: &str, key: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: tokio::net::TcpStream,
    client: Client<HttpConnector, Incoming>,
    upstream: SocketAddr,
) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |mut request: Request<Incoming>| {
        let client = client.clone();
        async move {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            *request.uri_mut() = format!("http://{upstream}{path}").parse::<Uri>().unwrap_or_default();
            *request.version_mut() = hyper::Version::HTTP_11;
            client.request(request).await
        }
    });
    // A client that goes away ends its connection; there is nobody to tell.
    let _ = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    };
}
