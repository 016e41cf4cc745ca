//! Portcullis, with the settings that it has of itself.

use std::path::Path;

use integration::{Result, merge};
use serde_json::{Value, json};

use super::{Contestant, Running, Shape, version, write};
use crate::process::{Program, built, free_address};
use crate::site::{CLIENT_SECRET, HOST, Site};

/// Portcullis.
pub(crate) struct Portcullis {
    pub(super) name: &'static str,
    /// Whether it keeps its audit log, which `portcullis` always does.
    pub(super) audited: bool,
    /// Routes that it has besides, each with a named policy of its own.
    pub(super) routes: usize,
    /// Named policies that it has besides, each attached to a route.
    pub(super) policies: usize,
    /// Sessions that it has besides.
    pub(super) sessions: usize,
}

impl Contestant for Portcullis {
    fn name(&self) -> &'static str {
        self.name
    }

    fn how(&self) -> &'static str {
        "session cookie, policy in CEL, signed assertion to the app, audit `strict` and chained"
    }

    fn version(&self) -> Result<String> {
        version(&built("portcullis")?, "--version", "portcullis ")
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let address = free_address()?;
        let configuration = configuration(site, shape, &address.to_string(), self.routes, self.policies);
        write(folder, "policies.yaml", serde_json::to_vec(&policies(self.policies))?)?;
        let file = write(folder, "portcullis.yaml", serde_json::to_vec_pretty(&configuration)?)?;
        let mut command = site.placement.command(&built(if self.audited { "portcullis" } else { "unaudited" })?);
        if self.audited {
            command.args(["run", "--config"]);
        }
        command.arg(file).env_remove("PORTCULLIS_LOG").current_dir(folder);
        let program = Program::start(&mut command, &folder.join("log"))?;
        let running = Running::new(shape, vec![program], address)?;
        if shape == Shape::Plain {
            return Ok(running);
        }
        site.sign_ins(address, self.sessions)?;
        let session = |user: &str| site.sign_in(address, user, COOKIE);
        Ok(running.sessions(COOKIE, &session("ada")?, &session("mallory")?))
    }

    fn reload(&self) -> Option<&'static str> {
        Some("HUP")
    }
}

/// Returns the configuration: of JSON, which is YAML too.
fn configuration(site: &Site, shape: Shape, address: &str, routes: usize, policies: usize) -> Value {
    let upstreams = site.upstreams;
    let mut route = match shape {
        Shape::Identity => json!({ "from": format!("https://{HOST}"), "to": format!("http://{}", upstreams.plain) }),
        Shape::Grpc => json!({ "from": format!("https://{HOST}"), "to": format!("h2c://{}", upstreams.h2c) }),
        Shape::Origination => json!({
            "from": format!("https://{HOST}"),
            "to": format!("https://{}", upstreams.tls),
            "upstream_tls": { "ca_file": site.path("ca.pem"), "server_name": "upstream.localhost" },
        }),
        Shape::Plain => {
            return json!({
                // A client may have many connections where all clients are one address.
                "listeners": [{ "address": address, "limits": { "max_connections_per_client": 65536 } }],
                "admin": { "address": "127.0.0.1:0" },
                "routes": [{
                    "name": "app", "from": format!("http://{HOST}"), "to": format!("http://{}", upstreams.plain),
                    "authenticate": "none", "identity": false, "allow": "true",
                }],
            });
        }
    };
    merge(&mut route, &json!({ "name": "app", "allow": POLICY }));
    json!({
        "listeners": [{
            "address": address,
            "tls": { "certificates": [{ "cert_file": site.path("cert.pem"), "key_file": site.path("key.pem") }] },
            "limits": { "max_connections_per_client": 65536 },
        }],
        "authenticate": {
            "url": "https://auth.localhost",
            "providers": [{
                "id": "bench", "issuer": site.issuer(), "client_id": "portcullis", "client_secret": CLIENT_SECRET,
            }],
        },
        "admin": { "address": "127.0.0.1:0" },
        "networks": { "office": ["127.0.0.0/8", "10.0.0.0/8"] },
        "policy_files": ["policies.yaml"],
        "routes": routes_beside(&route, routes, policies),
    })
}

/// Returns a route, with others on hosts of their own before it.
fn routes_beside(route: &Value, routes: usize, policies: usize) -> Vec<Value> {
    let other = |name: String, rules: Value| {
        let mut other = route.clone();
        merge(&mut other, &json!({ "name": name, "from": format!("https://{name}.localhost") }));
        merge(&mut other, &rules);
        other
    };
    let open = (0..routes).map(|number| other(format!("route-{number}"), json!({})));
    let ruled = (0..policies)
        .map(|number| other(format!("ruled-{number}"), json!({ "allow": [], "policy": format!("policy-{number}") })));
    open.chain(ruled).chain([route.clone()]).collect()
}

/// Returns a file of so many policies, of which no two are alike.
fn policies(policies: usize) -> Value {
    let policies = (0..policies).map(|number| {
        let rule = format!(r#""group-{number}" in user.groups && user.email.endsWith("@example.com")"#);
        json!({ "name": format!("policy-{number}"), "allow": [{ "name": "member", "when": rule }] })
    });
    json!({ "policies": policies.collect::<Vec<_>>() })
}

const COOKIE: &str = "__Host-portcullis";

const POLICY: &str =
    r#""engineering" in user.groups && user.email.endsWith("@example.com") && request.ip.inNetwork("office")"#;
