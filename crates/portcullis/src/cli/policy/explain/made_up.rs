//! A request that is made up of options.

use std::sync::Arc;

use clap::Args;
use identity::{Claims, Identity, Ip, Issuer, Kind, Proof, ProviderId, Subject, SystemClock, Verified};
use jiff::Timestamp;
use proxy::{Host, Route};
use serde_json::Value;

use crate::situation::{HeaderTexts, SessionTexts, Situation, push_parameter, route_host};

/// The options.
#[derive(Debug, Args)]
#[command(next_help_heading = "The request")]
pub(super) struct MadeUp {
    /// The route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The user's e-mail address; nobody is signed in without `--user`, `--id` and `--machine`
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// The user's id, as `issuer|subject`
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The user's groups
    #[arg(long, value_name = "GROUP,..", value_delimiter = ',')]
    groups: Vec<String>,
    /// A claim, as text or as JSON; may be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = pair)]
    claims: Vec<(String, String)>,
    /// The id of the provider that signed the user in
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// The caller is a program
    #[arg(long)]
    machine: bool,
    /// When the user last proved who they are, RFC 3339 [default: `--at`]
    #[arg(long, value_name = "TIME")]
    auth_time: Option<Timestamp>,
    /// How strongly
    #[arg(long, value_name = "ACR")]
    acr: Option<String>,
    /// By which means
    #[arg(long, value_name = "AMR,..", value_delimiter = ',')]
    amr: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    ip: Ip,
    /// The method [default: `GET`; of a tunnel `CONNECT`]
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// The path, and the query behind `?` [default: `/`; a tunnel has none]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The host [default: that of the route]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// A header; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// A parameter of the query; may be repeated
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// The time, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl MadeUp {
    pub(super) fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// Makes the request up.
    ///
    /// # Errors
    /// What an option says is none.
    pub(super) fn situation(&self, route: &Route) -> Result<Situation, String> {
        let time = self.at.unwrap_or_else(|| identity::Clock::now(&SystemClock));
        let (method, whole) = match (route.tunnel, self.path.as_deref()) {
            (Some(_), Some(_)) => return Err("`--path`: a tunnel has no path: leave it out".to_owned()),
            (Some(_), None) => ("CONNECT", ""),
            (None, path) => ("GET", path.unwrap_or("/")),
        };
        let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
        if !path.starts_with('/') && route.tunnel.is_none() {
            return Err(format!("`--path`: `{path}` is no path: start it with `/`"));
        }
        let mut query = query.to_owned();
        for (name, value) in &self.parameters {
            push_parameter(&mut query, name, value);
        }
        let host = self.host.clone().unwrap_or_else(|| match &route.host {
            Host::Exact(host) => host.clone(),
            Host::Wildcard(parent) => format!("any.{parent}"),
        });
        let user = self.identity(time)?.map(Arc::new);
        Ok(Situation {
            ip: self.ip,
            peer_ip: self.ip,
            ip_source: "peer",
            method: self.method.as_deref().unwrap_or(method).to_ascii_uppercase(),
            scheme: route.scheme.as_str(),
            host,
            path: path.to_owned(),
            query,
            headers: headers(&self.headers),
            time,
            protocol: "h2",
            id: String::new(),
            grpc: self.grpc(path),
            tls_version: "",
            sni: String::new(),
            certificate: None,
            session: user.is_some().then(|| SessionTexts { id: String::new(), created: time, expires: time }),
            user,
            route: route.name.clone(),
            route_host: route_host(route),
        })
    }

    /// gRPC is told by its content type, and its method is the path.
    fn grpc(&self, path: &str) -> (String, String) {
        let is_grpc = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("content-type") && value.starts_with("application/grpc")
        };
        let parts = path.strip_prefix('/').and_then(|path| path.rsplit_once('/'));
        let parts = parts.filter(|_| self.headers.iter().any(is_grpc));
        parts.map(|(service, method)| (service.to_owned(), method.to_owned())).unwrap_or_default()
    }

    fn identity(&self, time: Timestamp) -> Result<Option<Identity>, String> {
        if self.user.is_none() && self.id.is_none() && !self.machine {
            let about_user = !self.groups.is_empty() || !self.claims.is_empty() || self.acr.is_some();
            let message = "groups and claims belong to somebody: add `--user` or `--id`";
            return if about_user { Err(message.to_owned()) } else { Ok(None) };
        }
        let id = self.id.as_deref().unwrap_or("https://issuer.test|user");
        let no_id = || format!("`--id`: `{id}` is no id: write `issuer|subject`");
        let (issuer, subject) = id.split_once('|').ok_or_else(no_id)?;
        let claim = |(name, value): &(String, String)| {
            let json = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
            (name.clone(), json)
        };
        Ok(Some(Identity::verified(Verified {
            issuer: Issuer::new(issuer).map_err(|_| no_id())?,
            subject: Subject::new(subject).map_err(|_| no_id())?,
            kind: if self.machine { Kind::Machine } else { Kind::Person },
            provider: ProviderId::new(self.provider.as_deref().unwrap_or("any"))
                .map_err(|_| "`--provider` is empty".to_owned())?,
            email: self.user.as_deref().unwrap_or_default().into(),
            name: Box::default(),
            groups: self.groups.iter().map(|group| group.as_str().into()).collect(),
            claims: Claims::verified(self.claims.iter().map(claim).collect()),
            proof: Proof {
                auth_time: Some(self.auth_time.unwrap_or(time)),
                acr: self.acr.as_deref().unwrap_or_default().into(),
                amr: self.amr.iter().map(|method| method.as_str().into()).collect(),
            },
        })))
    }
}

/// Joins repeated headers, as they are joined for policies.
fn headers(pairs: &[(String, String)]) -> HeaderTexts {
    let mut headers = HeaderTexts::default();
    for (name, value) in pairs {
        let joined = headers.0.entry(name.to_ascii_lowercase()).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value);
    }
    headers
}
