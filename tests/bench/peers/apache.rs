//! Apache httpd with `mod_auth_openidc`: a real session, signed in at the same provider.

use std::path::Path;

use integration::Result;

use super::{Contestant, Running, Shape, fill, version, write};
use crate::process::{Program, free_address, installed};
use crate::site::{CLIENT_SECRET, Site};

/// Apache httpd.
pub(crate) struct Apache;

impl Contestant for Apache {
    fn name(&self) -> &'static str {
        "apache"
    }

    fn how(&self) -> &'static str {
        "`mod_auth_openidc`: session cookie of a real sign-in, `Require claim` and `Require ip`; access log; event MPM"
    }

    fn version(&self) -> Result<String> {
        version(&installed("apache2")?, "-v", "Apache/")
    }

    fn lacks(&self, shape: Shape) -> Option<&'static str> {
        (shape == Shape::Grpc).then_some("mod_proxy_http2 does not pass gRPC's trailers on")
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let address = free_address()?;
        let (cert, key, ca) = (site.path("cert.pem"), site.path("key.pem"), site.path("ca.pem"));
        let paths = [&cert, &key, &ca].map(|path| path.display().to_string());
        let [cert, key, ca] = &paths;
        let (listen, access) = match shape {
            Shape::Plain => (String::new(), "Require all granted".to_owned()),
            Shape::Identity | Shape::Grpc | Shape::Origination => (
                format!(
                    "SSLEngine on\n  SSLCertificateFile {cert}\n  SSLCertificateKeyFile {key}\n  Protocols h2 http/1.1"
                ),
                fill(include_str!("apache-access.conf"), &[("issuer", site.issuer()), ("secret", CLIENT_SECRET)])?,
            ),
        };
        let (scheme, upstream, origination) = match shape {
            Shape::Identity | Shape::Plain | Shape::Grpc => ("http", site.upstreams.plain.to_string(), String::new()),
            Shape::Origination => {
                let verify = format!("SSLProxyEngine on\n  SSLProxyVerify require\n  SSLProxyCACertificateFile {ca}");
                ("https", site.upstreams.tls.to_string(), verify)
            }
        };
        let configuration = fill(
            include_str!("apache.conf"),
            &[
                ("folder", &folder.display().to_string()),
                ("address", &address.to_string()),
                ("listen", &listen),
                ("access", &access),
                ("upstream", &format!("{scheme}://{upstream}")),
                ("origination", &origination),
            ],
        )?;
        let file = write(folder, "apache.conf", configuration)?;
        let mut command = site.placement.command(&installed("apache2")?);
        let program = Program::start(command.arg("-DFOREGROUND").arg("-f").arg(file), &folder.join("log"))?;
        let running = Running::new(shape, vec![program], address)?;
        if shape == Shape::Plain {
            return Ok(running);
        }
        let session = |user: &str| site.sign_in(address, user, COOKIE);
        Ok(running.sessions(COOKIE, &session("ada")?, &session("mallory")?))
    }

    fn reload(&self) -> Option<&'static str> {
        Some("USR1")
    }
}

const COOKIE: &str = "session";
