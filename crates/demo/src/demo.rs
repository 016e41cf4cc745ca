//! The whole of it: a folder with a configuration, and the provider and apps that the configuration names.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use identity::{Clock, Secret};

use crate::configuration::{self, Addresses};
use crate::folder::{CA, Folder};
use crate::grpc::Grpc;
use crate::provider::{Client, Provider, User};
use crate::web::{Proxy, Web};
use crate::{Authority, DemoError};

/// A running provider and running apps, and the files that a proxy in front of them needs.
#[derive(Debug)]
pub struct Demo {
    config_file: PathBuf,
    ca_file: PathBuf,
    audit_dir: PathBuf,
    _folder: Folder,
    port: u16,
    admin: SocketAddr,
    users: Vec<User>,
    provider: Provider,
    web: Web,
    grpc: Grpc,
}

impl Demo {
    /// Starts the provider and the apps, and writes the files for a proxy on `port` of 127.0.0.1 into `folder`.
    ///
    /// Port 0 picks a free one. The proxy is the caller's to start, with [`Self::config_file`].
    ///
    /// # Errors
    /// The port is taken, or the folder cannot be written.
    pub async fn start(folder: &Path, port: u16, clock: Arc<dyn Clock>) -> Result<Self, DemoError> {
        let (port, admin) = ports(port)?;
        let folder = Folder::open(folder)?;
        let now = clock.now();
        let authority = folder.authority(now)?;
        let hosts = HOSTS.iter().map(|(_, host)| *host).chain([SPARE_HOST]);
        let hosts: Vec<_> = hosts.map(|host| format!("{host}.localhost")).collect();
        folder.write_leaf(&authority.sign(&hosts, now)?)?;
        // BoringSSL, which gRPC for Python and C++ is built with, knows no constraints on addresses and refuses every
        // certificate with one. So the proxy's has names alone, and the provider's the address.
        let issuer = authority.sign(&[Ipv4Addr::LOCALHOST.to_string()], now)?;

        let users = users();
        let secret = client_secret()?;
        folder.write("client-secret", &secret)?;
        let provider =
            Provider::start(users.clone(), vec![client(port, secret)], Some(issuer.server_config()?), clock).await?;
        let web = Web::start(Some(proxy(port, &authority)?)).await?;
        let grpc = Grpc::start().await?;

        folder.keep("policies/demo.yaml", POLICIES)?;
        let addresses = Addresses {
            proxy: format!("localhost:{port}"),
            listener: format!("127.0.0.1:{port}"),
            admin: admin.to_string(),
            provider: provider.issuer().trim_start_matches("https://").to_owned(),
            web: web.server().address().to_string(),
            grpc: grpc.address().to_string(),
        };
        configuration::write(&folder, &addresses)?;
        let [config_file, ca_file, audit_dir] = [configuration::FILE, CA, "audit"].map(|name| folder.path(name));
        Ok(Self { config_file, ca_file, audit_dir, _folder: folder, port, admin, users, provider, web, grpc })
    }

    /// Returns the configuration to run the proxy with.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// Returns the certificate of the authority that clients must trust.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Returns where the audit log will be.
    #[must_use]
    pub fn audit_dir(&self) -> &Path {
        &self.audit_dir
    }

    /// Returns the port of the proxy.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the admin listener.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Returns who can sign in.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// Returns the name and the URL of everything that can be opened or called.
    pub fn urls(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        let hosts = HOSTS.iter().map(|(name, host)| (*name, format!("https://{host}.localhost:{}", self.port)));
        hosts.chain([("provider", self.provider.issuer().to_owned())])
    }

    /// Stops the provider and the apps. The files stay.
    pub async fn shutdown(self) {
        tokio::join!(self.provider.shutdown(), self.web.shutdown(), self.grpc.shutdown());
    }
}

/// Three users, one for each thing that a policy may say of them.
fn users() -> Vec<User> {
    vec![
        User::new("ada", "Ada Lovelace", &["engineering"]),
        User::new("grace", "Grace Hopper", &["engineering", "sre"]),
        User::new("carl", "Carl Contractor", &["contractors"]),
    ]
}

fn client(port: u16, secret: String) -> Client {
    let redirect_uri = format!("https://auth.localhost:{port}/.portcullis/callback");
    let token_life = Duration::from_secs(60 * 60);
    Client { id: "portcullis".into(), secret: Secret::new(secret), redirect_uris: vec![redirect_uri], token_life }
}

fn proxy(port: u16, authority: &Authority) -> Result<Proxy, DemoError> {
    let hosts = HOSTS.map(|(_, host)| format!("{host}.localhost:{port}"));
    Ok(Proxy::new((Ipv4Addr::LOCALHOST, port).into(), authority.client_config()?, hosts))
}

fn client_secret() -> Result<String, DemoError> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).map_err(|_| DemoError::Key)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(secret))
}

/// Finds the ports of the proxy. They are known before it starts because its configuration names them; they are free
/// when this returns, and the proxy says so if they no longer are.
fn ports(port: u16) -> Result<(u16, SocketAddr), DemoError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| refused(port, source))?;
    let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|admin| admin.local_addr());
    let port = listener.local_addr().map_err(DemoError::Bind)?.port();
    Ok((port, admin.map_err(DemoError::Bind)?))
}

fn refused(port: u16, source: io::Error) -> DemoError {
    if source.kind() == io::ErrorKind::PermissionDenied {
        DemoError::PortForbidden { port, source }
    } else {
        DemoError::PortTaken { port, source }
    }
}

/// What each host is for, and its name below `localhost`.
const HOSTS: [(&str, &str); 8] = [
    ("sign_in", "auth"),
    ("app", "app"),
    ("admin_app", "admin"),
    ("office", "office"),
    ("public", "public"),
    ("ws", "ws"),
    ("grpc", "grpc"),
    ("grpc_staff", "grpc-staff"),
];

/// A name on the certificate for a route that the reader adds.
const SPARE_HOST: &str = "my-app";

const POLICIES: &str = include_str!("../templates/policies.yaml");

#[cfg(test)]
mod tests;
