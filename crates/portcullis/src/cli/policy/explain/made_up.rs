//! A request that is made up of options.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authorize::ClientCertificate;
use clap::Args;
use identity::{Claims, Identity, Ip, Issuer, Kind, Proof, ProviderId, Scheme, Subject, SystemClock, Verified};
use jiff::Timestamp;
use proxy::{Host, Route, Router};
use serde_json::Value;

use crate::config::{self, Config};
use crate::situation::{HeaderTexts, SessionTexts, Situation, push_parameter, route_host};

/// The options.
#[derive(Debug, Args)]
#[command(next_help_heading = "The request")]
pub(super) struct MadeUp {
    /// The route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// The user's e-mail address, which the provider vouches for; nobody is signed in without `--user`, `--id` and `--machine`
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
    /// The client's certificate, as PEM; it is not verified here
    #[arg(long, value_name = "FILE")]
    client_certificate: Option<PathBuf>,
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
    pub(super) fn situation(
        &self,
        route: &Route,
        config: &Config,
        router: &Router,
    ) -> Result<Situation<'static>, String> {
        let time = self.at.unwrap_or_else(|| identity::Clock::now(&SystemClock));
        let (method, whole) = match (route.tunnel, self.path.as_deref()) {
            (Some(_), Some(_)) => return Err("`--path`: a tunnel has no path: leave it out".to_owned()),
            (Some(_), None) => ("CONNECT", ""),
            (None, path) => ("GET", path.unwrap_or("/")),
        };
        let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
        let host = self.host(route);
        let path = if route.tunnel.is_some() {
            String::new()
        } else if path.starts_with('/') {
            let normal = router.normal_path(route.scheme, &host, path);
            normal.map_err(|reason| format!("`--path`: a request for `{path}` is refused: {reason}"))?.into_owned()
        } else {
            return Err(format!("`--path`: `{path}` is no path: start it with `/`"));
        };
        let mut query = query.to_owned();
        for (name, value) in &self.parameters {
            push_parameter(&mut query, name, value);
        }
        let headers = headers(&self.headers);
        let grpc = proxy::grpc_of(headers.0.get("content-type").map_or("", String::as_str), &path);
        let (grpc, user) = ((grpc.service.to_owned(), grpc.method.to_owned()), self.identity(time)?.map(Arc::new));
        // As a client comes that nothing special is known of.
        let (protocol, tls_version, sni) = match route.scheme {
            Scheme::Https => ("h2", "1.3", host.clone()),
            Scheme::Http => ("http/1.1", "", String::new()),
        };
        let lifetime = config.sign_in.as_ref().map(|sign_in| sign_in.config.session.lifetime).unwrap_or_default();
        Ok(Situation {
            ip: self.ip,
            peer_ip: self.ip,
            ip_source: "peer",
            method: self.method.as_deref().unwrap_or(method).to_ascii_uppercase().into(),
            scheme: route.scheme.as_str(),
            host: host.into(),
            path: path.into(),
            query,
            headers,
            time,
            protocol,
            id: Cow::default(),
            grpc,
            tls_version,
            sni: sni.into(),
            certificate: self.certificate()?,
            session: user.is_some().then(|| session(time, lifetime)),
            user,
            route: route.name.clone().into(),
            route_host: route_host(route).into_owned().into(),
        })
    }

    /// Returns the host in the form in which rules see it.
    fn host(&self, route: &Route) -> String {
        match (&self.host, &route.host) {
            (Some(host), _) => host.trim_end_matches('.').to_ascii_lowercase(),
            (None, Host::Exact(host)) => host.clone(),
            (None, Host::Wildcard(parent)) => format!("any.{parent}"),
        }
    }

    fn certificate(&self) -> Result<Option<ClientCertificate>, String> {
        let Some(path) = &self.client_certificate else { return Ok(None) };
        let read = config::read_bytes(path, MAX_CERTIFICATE).and_then(|pem| proxy::read_client_certificate(&pem));
        read.map(Some).map_err(|reason| format!("`--client-certificate`: `{}`: {reason}", path.display()))
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
        let mut claims: serde_json::Map<String, Value> = self.claims.iter().map(claim).collect();
        if self.user.is_some() {
            claims.entry("email_verified").or_insert(Value::Bool(true));
        }
        Ok(Some(Identity::verified(Verified {
            issuer: Issuer::new(issuer).map_err(|_| no_id())?,
            subject: Subject::new(subject).map_err(|_| no_id())?,
            kind: if self.machine { Kind::Machine } else { Kind::Person },
            provider: ProviderId::new(self.provider.as_deref().unwrap_or("any"))
                .map_err(|_| "`--provider` is empty".to_owned())?,
            email: self.user.as_deref().unwrap_or_default().into(),
            name: claims.get("name").and_then(Value::as_str).unwrap_or_default().into(),
            groups: self.groups.iter().map(|group| group.as_str().into()).collect(),
            claims: Claims::verified(claims),
            proof: Proof {
                auth_time: Some(self.auth_time.unwrap_or(time)),
                acr: self.acr.as_deref().unwrap_or_default().into(),
                amr: self.amr.iter().map(|method| method.as_str().into()).collect(),
            },
        })))
    }
}

fn session(created: Timestamp, lifetime: Duration) -> SessionTexts<'static> {
    SessionTexts { id: Cow::default(), created, expires: created.checked_add(lifetime).unwrap_or(Timestamp::MAX) }
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

/// A certificate is a few kilobytes.
const MAX_CERTIFICATE: u64 = 1024 * 1024;
