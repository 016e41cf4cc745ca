//! nginx, which asks the authoriser before every request (`auth_request`).

use std::path::Path;

use integration::Result;

use super::{Contestant, Running, Shape, authoriser, fill, version, write};
use crate::process::{Program, free_address, installed};
use crate::site::Site;

/// nginx.
pub(crate) struct Nginx;

impl Contestant for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn how(&self) -> &'static str {
        "`auth_request` to an authoriser of this repository, which looks the session up and applies the policy; access log"
    }

    fn version(&self) -> Result<String> {
        version(&installed("nginx")?, "-v", "nginx/")
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let address = free_address()?;
        let (authoriser, asked) = authoriser(site, folder)?;
        let tls = format!("ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem;", site.path("").display());
        let authority = format!(
            "proxy_ssl_verify on; proxy_ssl_name upstream.localhost; proxy_ssl_server_name on; \
             proxy_ssl_trusted_certificate {};",
            site.path("ca.pem").display()
        );
        let (listen, access) = match shape {
            Shape::Plain => ("", ""),
            Shape::Identity | Shape::Grpc | Shape::Origination => ("ssl http2", "auth_request /authorise;"),
        };
        let (upstream, pass) = match shape {
            Shape::Identity | Shape::Plain => (site.upstreams.plain, "proxy_pass http://app;"),
            Shape::Grpc => (site.upstreams.h2c, "grpc_pass grpc://app;"),
            Shape::Origination => (site.upstreams.tls, &*format!("proxy_pass https://app; {authority}")),
        };
        let configuration = fill(
            include_str!("nginx.conf"),
            &[
                ("folder", &folder.display().to_string()),
                ("listen", &format!("{address} {listen}")),
                ("tls", if shape == Shape::Plain { "" } else { &tls }),
                ("access", access),
                ("authoriser", &asked.to_string()),
                ("upstream", &upstream.to_string()),
                ("pass", pass),
            ],
        )?;
        let file = write(folder, "nginx.conf", configuration)?;
        let mut command = site.placement.command(&installed("nginx")?);
        let program = Program::start(command.arg("-c").arg(file).arg("-p").arg(folder), &folder.join("log"))?;
        let running = Running::new(shape, vec![program, authoriser], address)?;
        Ok(running.sessions("session", &site.token("ada")?, &site.token("mallory")?))
    }

    fn reload(&self) -> Option<&'static str> {
        Some("HUP")
    }
}
