//! `routes[]` and `defaults` to routes of the proxy and the rules attached to them.

mod balance;
mod lint;
mod passthrough;
mod rewrite;
mod tunnel;
mod upstream;

use std::collections::{HashMap, HashSet};

use authenticate::{MAX_ACR_VALUES, StepUp};
use authorize::{Mode, RouteRules};
use identity::ProviderId;
use proxy::{
    Authentication, CorsPreflight, EncodedSlashes, Host, IdentityClaim, IdentityHeaders, Path, RateLimit, RateLimitBy,
    Route, Timeouts, TlsRoute, WebSockets,
};

use super::builder::Builder;
use super::fields::Fields;
use super::format;
use super::schema;
use super::sign_in::SignIn;
use super::suggest::hint;
use super::tree::{Node, Value, quoted};

/// What routes refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) policies: &'a [authorize::Policy],
    /// The ids of providers as they are written, whatever else is wrong with them.
    pub(crate) providers: &'a [&'a str],
    pub(crate) sign_in: Option<&'a SignIn>,
    /// Whether there is an `authenticate` section, good or bad.
    pub(crate) offers_sign_in: bool,
    /// Whether the guard allows: then a route needs no rule of its own.
    pub(crate) guard_allows: bool,
}

/// All routes.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) routes: Vec<Route>,
    pub(crate) tls_routes: Vec<TlsRoute>,
    /// First those of `routes`, then those of `tls_routes`.
    pub(crate) rules: Vec<RouteRules>,
}

/// Builds every route and its rules.
pub(crate) fn build<'n>(builder: &mut Builder<'n>, root: &Fields<'n>, named: Named<'_>) -> Built {
    let defaults = root.get("defaults");
    if let Some(node) = root.get("routes").filter(|node| node.items().is_empty()) {
        builder.error(node.place, "`routes` is empty: add at least one with `from` and `to`");
    }
    if let Some(node) = defaults {
        check_provider(builder, &Fields::new(&schema::DEFAULTS, Some(node)), named);
    }
    let mut built = Vec::new();
    let (of_connections, of_requests): (Vec<_>, Vec<_>) = root
        .items("routes")
        .iter()
        .filter(|node| matches!(node.value, Value::Map(_)))
        .partition(|node| passthrough::is(node));
    for node in of_requests {
        let fields = Fields::new(&schema::ROUTE, Some(node)).inheriting(defaults);
        let route = if tunnel::is(node) {
            tunnel::route(builder, node, &fields, named)
        } else {
            route(builder, &fields, named)
        };
        built.extend(route.map(|route| (node, route)));
    }
    tunnel::find_pages(&mut built, named.sign_in);
    report_twins(builder, &built);
    report_ports(builder, &built, named.sign_in);
    report_identity_edits(builder, &built);
    lint::addresses(builder, root);
    let (tls_routes, mut further): (Vec<_>, Vec<_>) = passthrough::build(builder, root, of_connections, named, &built);
    let (routes, mut rules): (Vec<_>, Vec<_>) = built.into_iter().map(|(_, parts)| parts).unzip();
    rules.append(&mut further);
    Built { routes, tls_routes, rules }
}

fn route<'n>(builder: &mut Builder<'n>, fields: &Fields<'n>, named: Named<'_>) -> Option<(Route, RouteRules)> {
    // Every part is read before the first `?`, so that one mistake does not hide the others.
    let path = path(builder, fields);
    let authenticate = authentication(builder, fields, named);
    check_provider(builder, fields, named);
    let step_up = step_up(builder, fields, authenticate);
    let upstream = upstream::build(builder, fields);
    let balance = balance::build(builder, fields);
    let rewrites = rewrite::build(builder, fields, &path);
    let identity = identity(builder, fields);
    let rules = rules(builder, fields, named);
    let from = fields.read("from", format::from)?;
    lint::cleartext_sign_in(builder, fields, from.scheme, authenticate);
    let name = fields.text("name").map_or_else(|| derived_name(&from, fields), str::to_owned);
    let route = Route {
        name: name.clone(),
        scheme: from.scheme,
        host: from.host,
        port: from.port,
        tunnel: None,
        path,
        methods: fields.read_all("methods", format::method),
        to: upstream.to,
        upstream_protocol: upstream.protocol,
        upstream_tls: upstream.tls,
        upstream: balance,
        host_header: upstream.host,
        authenticate,
        step_up,
        provider: provider(fields),
        identity,
        timeouts: timeouts(fields),
        encoded_slashes: match fields.text("encoded_slashes") {
            Some("reject") => EncodedSlashes::Reject,
            Some("keep") => EncodedSlashes::Keep,
            _ => EncodedSlashes::Auto,
        },
        cors_preflight: cors_preflight(builder, fields),
        websockets: websockets(fields),
        max_request_body: fields.size("max_request_body"),
        rate_limit: rate_limit(fields),
        rewrites,
    };
    Some((route, RouteRules { route: name, ..rules }))
}

fn derived_name(from: &format::From, fields: &Fields<'_>) -> String {
    let host = match &from.host {
        Host::Exact(host) => host.clone(),
        Host::Wildcard(suffix) => format!("*.{suffix}"),
    };
    let port = if from.port == from.scheme.default_port() { String::new() } else { format!(":{}", from.port) };
    let path = ["path", "prefix", "regex"].iter().find_map(|key| fields.text(key)).unwrap_or_default();
    format!("{host}{port}{path}")
}

fn path(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Path {
    let mut written = ["path", "prefix", "regex"].into_iter().filter_map(|key| Some((key, fields.own(key)?)));
    let Some((key, node)) = written.next() else { return Path::Any };
    if let Some((second, node)) = written.next() {
        builder.error(node.place, format!("`{key}` and `{second}` exclude each other: keep one, or make two routes"));
    }
    let text = node.text().unwrap_or_default();
    match key {
        "regex" => format::regex(text).map_or(Path::Any, Path::Regex),
        "prefix" => match text.trim_end_matches('/') {
            "" => Path::Any,
            prefix => Path::Prefix(prefix.to_owned()),
        },
        _ => Path::Exact(text.to_owned()),
    }
}

fn authentication(builder: &mut Builder<'_>, fields: &Fields<'_>, named: Named<'_>) -> Authentication {
    let authenticate = match fields.text("authenticate") {
        Some("none") => Authentication::None,
        Some("optional") => Authentication::Optional,
        _ => Authentication::Required,
    };
    let place = fields.own("authenticate").or_else(|| fields.own("from")).map(|node| node.place).or(fields.place());
    if let Some(place) = place.filter(|_| authenticate != Authentication::None && !named.offers_sign_in) {
        builder.error(
            place,
            "this route asks for sign-in, but there is no `authenticate` section: add one, or write \
             `authenticate: none` at the route",
        );
    }
    authenticate
}

fn check_provider(builder: &mut Builder<'_>, fields: &Fields<'_>, named: Named<'_>) {
    let Some(node) = fields.own("provider").filter(|_| !named.providers.is_empty() || !named.offers_sign_in) else {
        return;
    };
    let Some(text) = node.text() else { return };
    if !named.providers.contains(&text) {
        let hint = hint(text, named.providers.iter().copied());
        builder.error(node.place, format!("no provider has the id {}: {hint}", node.shown()));
    }
}

fn provider(fields: &Fields<'_>) -> Option<ProviderId> {
    fields.text("provider").and_then(|id| ProviderId::new(id).ok())
}

fn step_up(builder: &mut Builder<'_>, fields: &Fields<'_>, authenticate: Authentication) -> Option<StepUp> {
    let node = fields.get("step_up")?;
    // What is inherited by a route that looks at no session says nothing there.
    if authenticate == Authentication::None {
        if fields.own("step_up").is_some() {
            builder.error(
                node.place,
                "`step_up` is about sessions, and with `authenticate: none` none is looked at: remove one of the two",
            );
        }
        return None;
    }
    let section = fields.section("step_up", &schema::STEP_UP);
    let (age, values) = (section.get("max_auth_age"), section.items("acr_values"));
    if age.is_none() && values.is_empty() {
        builder.error(node.place, "`step_up` asks nothing: add `max_auth_age` or `acr_values`");
    }
    let max_auth_age = section.duration("max_auth_age");
    if let Some(age) = age.filter(|_| max_auth_age.is_some_and(|age| age.as_secs() == 0)) {
        builder.error(age.place, "`max_auth_age` counts whole seconds: write at least `1s`");
    }
    if let Some(first) = values.get(MAX_ACR_VALUES) {
        builder.error(first.place, format!("`acr_values` has more than {MAX_ACR_VALUES} values: write fewer"));
    }
    StepUp::new(max_auth_age, section.read_all("acr_values", format::acr))
}

fn identity(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<IdentityHeaders> {
    if fields.text("identity") == Some("false") && !fields.is_map("identity") {
        return None;
    }
    let fields = fields.section("identity", &schema::IDENTITY_HEADERS);
    let mut headers = Vec::new();
    for (name, value) in fields.table("headers") {
        let Some(text) = value.text() else { continue };
        let claim = claim(text);
        match (format::header_name(name), claim) {
            (Ok(name), Ok(_)) if FORBIDDEN_HEADERS.contains(&name.as_str()) => {
                let message = format!(
                    "`identity.headers` cannot set {}, which the protocol needs: choose another",
                    quoted(name.as_str())
                );
                builder.error(value.place, message);
            }
            (Ok(name), Ok(claim)) => headers.push((name, claim)),
            (Err(reason), _) => builder.error(value.place, format!("{} is {reason}", quoted(name))),
            (_, Err(hint)) => builder.error(value.place, format!("{} is no claim: {hint}", value.shown())),
        }
    }
    let assertion_header = fields.read("assertion_header", format::header_name)?;
    Some(IdentityHeaders { assertion_header, headers })
}

fn claim(text: &str) -> Result<IdentityClaim, String> {
    match text {
        "id" => Ok(IdentityClaim::Id),
        "email" => Ok(IdentityClaim::Email),
        "name" => Ok(IdentityClaim::Name),
        "groups" => Ok(IdentityClaim::Groups),
        _ => match text.strip_prefix("claims.") {
            Some(path) if !path.is_empty() => Ok(IdentityClaim::Claim(path.to_owned())),
            _ => Err(hint(text, ["id", "email", "name", "groups", "claims.PATH"].into_iter())),
        },
    }
}

fn rules<'n>(builder: &mut Builder<'n>, fields: &Fields<'n>, named: Named<'_>) -> RouteRules {
    let mut policies = Vec::new();
    for node in fields.items("policy") {
        let Some(text) = node.text() else { continue };
        match named.policies.iter().position(|policy| policy.name == text) {
            Some(index) => policies.push(index),
            None => {
                let hint = match named.policies {
                    [] => "there is none: write it into a file, and name the file in `policy_files`".to_owned(),
                    policies => hint(text, policies.iter().map(|policy| policy.name.as_str())),
                };
                builder.error(node.place, format!("no policy is called {}: {hint}", node.shown()));
            }
        }
    }
    let (allow, deny) = (builder.rules(fields, "allow"), builder.rules(fields, "deny"));
    // S-75: what nobody may enter is safe, and surely not what was meant.
    let nothing = allow.is_empty() && fields.items("policy").is_empty() && !named.guard_allows;
    if let Some(place) = fields.place().filter(|_| nothing) {
        builder.warning(place, "this route denies everybody: add `allow` or `policy`");
    }
    RouteRules { route: String::new(), policies, allow, deny, mode: mode(builder, fields) }
}

fn mode(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Mode {
    let Some(node) = fields.own("mode").filter(|node| node.text() == Some("shadow")) else { return Mode::Enforce };
    builder.warning(
        node.place,
        "this route is in shadow mode: whoever its policy refuses is let through, and only recorded; write `enforce` \
         once the records are as they should be",
    );
    Mode::Shadow
}

fn timeouts(fields: &Fields<'_>) -> Timeouts {
    let fields = fields.section("timeout", &schema::TIMEOUTS);
    Timeouts {
        connect: fields.duration("connect").unwrap_or(Timeouts::default().connect),
        response_headers: fields.duration("response_headers"),
        idle: fields.duration("idle"),
        total: fields.duration("total"),
    }
}

fn rate_limit(fields: &Fields<'_>) -> Option<RateLimit> {
    fields.get("rate_limit")?;
    let fields = fields.section("rate_limit", &schema::RATE_LIMIT);
    let by = match fields.text("by") {
        Some("client_ip") => RateLimitBy::Client,
        Some("both") => RateLimitBy::Both,
        _ => RateLimitBy::User,
    };
    Some(RateLimit { requests: fields.number("requests")?, period: fields.duration("period")?, by })
}

fn cors_preflight(builder: &mut Builder<'_>, fields: &Fields<'_>) -> CorsPreflight {
    if fields.text("cors_preflight") != Some("pass") {
        return CorsPreflight::Deny;
    }
    // What nobody asked who sent must not use what only the allowed may.
    if let Some(credential) = fields.own("credential") {
        builder.error(
            credential.place,
            "`cors_preflight: pass` would let anybody use this `credential`: write `cors_preflight: deny` at the route",
        );
    }
    CorsPreflight::Pass
}

fn websockets(fields: &Fields<'_>) -> WebSockets {
    if fields.get("websockets").is_some_and(|node| matches!(node.value, Value::List(_))) {
        return WebSockets::Origins(fields.read_all("websockets", format::origin));
    }
    match fields.text("websockets") {
        Some("any") => WebSockets::Any,
        Some("off") => WebSockets::Off,
        _ => WebSockets::SameOrigin,
    }
}

/// Reports names that two routes share, and routes that the same requests match.
fn report_twins(builder: &mut Builder<'_>, built: &[(&Node, (Route, RouteRules))]) {
    let mut names = HashMap::new();
    let mut matches = HashMap::new();
    for (node, (route, _)) in built {
        let place = node.get("from").map_or(node.place, |from| from.place);
        let path = match &route.path {
            Path::Any => (0, ""),
            Path::Exact(path) => (1, path.as_str()),
            Path::Prefix(prefix) => (2, prefix.as_str()),
            Path::Regex(regex) => (3, regex.as_str()),
        };
        let mut methods = route.methods.clone();
        methods.sort();
        if matches.insert((route.scheme, &route.host, route.tunnel, path, methods), ()).is_some() {
            let same = if route.tunnel.is_some() { "host and port" } else { "host, path and methods" };
            builder.error(place, format!("this route never matches: one above has the same {same}; remove one"));
        } else if names.insert(&route.name, ()).is_some() {
            let place = node.get("name").map_or(place, |name| name.place);
            builder.error(place, format!("two routes are called {}: give one another `name`", quoted(&route.name)));
        }
    }
}

/// Reports hosts with two ports. A request does not tell its port to be routed by, and a session is good on one origin:
/// sign-in for the other would lead back to sign-in, and round again.
fn report_ports(builder: &mut Builder<'_>, built: &[(&Node, (Route, RouteRules))], sign_in: Option<&SignIn>) {
    let sign_in = sign_in
        .map(|sign_in| &sign_in.config.url)
        .map(|url| ((url.scheme(), Host::Exact(url.host().to_owned())), url.port()));
    let mut ports: HashMap<_, _> = sign_in.into_iter().collect();
    for (node, (route, _)) in built.iter().filter(|(_, (route, _))| route.tunnel.is_none()) {
        let known = *ports.entry((route.scheme, route.host.clone())).or_insert(route.port);
        if known != route.port {
            let place = node.get("from").map_or(node.place, |from| from.place);
            let port = route.port;
            let message =
                format!("this host has port {port} here and port {known} in another route or `authenticate.url`");
            builder.error(place, format!("{message}: write the same everywhere"));
        }
    }
}

/// Reports changes to headers by which a route tells its upstream of the user: another app may believe them too.
fn report_identity_edits(builder: &mut Builder<'_>, built: &[(&Node, (Route, RouteRules))]) {
    let identities = || built.iter().filter_map(|(_, (route, _))| route.identity.as_ref());
    let told: HashSet<_> = identities().flat_map(IdentityHeaders::names).collect();
    for (node, (route, _)) in built {
        let edits = &route.rewrites.request_headers;
        let changed = edits.set.iter().chain(&edits.add).map(|(name, _)| name).chain(&edits.remove);
        let place = node.get("request_headers").map_or(node.place, |edits| edits.place);
        for name in changed.filter(|name| told.contains(name)) {
            let name = quoted(name.as_str());
            builder
                .error(place, format!("`request_headers` cannot change {name}, which `identity` sets: choose another"));
        }
    }
}

/// Headers that a claim must never become.
const FORBIDDEN_HEADERS: [&str; 10] = [
    "host",
    "cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
];
