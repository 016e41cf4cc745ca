//! `authenticate` to the configuration of sign-in.

use std::collections::HashMap;
use std::sync::Arc;

use authenticate::{
    AuthenticateError, ClaimNames, Config, KeyTexts, Keys, Provider, SessionConfig, Store, StoreLocation,
};
use identity::{ProviderId, Scheme, Secret};
use pages::Look;

use super::builder::Builder;
use super::fields::Fields;
use super::format;
use super::schema;
use super::tree::{Node, quoted};

/// Sign-in, with what is opened before it can be set up.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Providers and sessions.
    pub config: Config,
    /// Where sessions are kept.
    pub store: StoreLocation,
    /// The configured keys.
    pub keys: KeyTexts,
}

/// Builds the section; `None` where it is missing or has no usable `url`.
pub(crate) fn build(builder: &mut Builder<'_>, root: &Fields<'_>, look: &Arc<Look>) -> Option<SignIn> {
    let node = root.get("authenticate")?;
    let fields = Fields::new(&schema::AUTHENTICATE, Some(node));
    let providers = providers(builder, &fields);
    let session = fields.section("session", &schema::SESSION);
    let keys = keys(builder, &fields.section("keys", &schema::KEYS));
    let url = fields.read("url", format::origin)?;
    if let Some(node) = fields.get("url").filter(|_| url.scheme() == Scheme::Http) {
        builder.warning(
            node.place,
            "sign-in over plain http: anybody on the way can take sessions over; write `https://`",
        );
    }
    let lifetime = session.duration("lifetime").unwrap_or(SessionConfig::default().lifetime);
    Some(SignIn {
        config: Config {
            url,
            providers,
            session: SessionConfig { lifetime, idle_timeout: session.duration("idle_timeout") },
            look: Arc::clone(look),
        },
        store: store(builder, &session),
        keys,
    })
}

fn providers(builder: &mut Builder<'_>, authenticate: &Fields<'_>) -> Vec<Provider> {
    if let Some(empty) = authenticate.get("providers").filter(|node| node.items().is_empty()) {
        builder.error(empty.place, "`providers` is empty: add one with `id`, `issuer` and `client_id`");
    }
    let mut seen = HashMap::new();
    let mut providers = Vec::new();
    for node in authenticate.items("providers") {
        let Some(provider) = provider(builder, node) else { continue };
        if seen.insert(provider.id.clone(), ()).is_some() {
            let place = node.get("id").map_or(node.place, |id| id.place);
            builder
                .error(place, format!("two providers have the id {}: give one another", quoted(provider.id.as_str())));
        }
        providers.push(provider);
    }
    providers
}

fn provider(builder: &mut Builder<'_>, node: &Node) -> Option<Provider> {
    let fields = Fields::new(&schema::PROVIDER, Some(node));
    let scopes = match fields.get("scopes") {
        Some(written) => {
            let scopes = fields.texts("scopes");
            if !scopes.iter().any(|scope| scope == "openid") {
                builder.error(
                    written.place,
                    "`scopes` lacks `openid`, without which no provider signs anybody in: add it",
                );
            }
            Some(scopes)
        }
        None => None,
    };
    for (name, value) in fields.table("extra_params") {
        if OWN_PARAMETERS.contains(&name) {
            let message = format!("`extra_params` cannot set {}, which sign-in itself sets: remove it", quoted(name));
            builder.error(value.place, message);
        }
    }
    let claims = fields.section("claims", &schema::CLAIMS);
    let claim = |key| claims.text(key).unwrap_or_default().to_owned();
    let id = ProviderId::new(fields.text("id")?).ok()?;
    Some(Provider {
        name: fields.text("name").unwrap_or(id.as_str()).to_owned(),
        id,
        issuer: fields.read("issuer", format::issuer)?,
        client_id: fields.text("client_id")?.to_owned(),
        client_secret: fields.text("client_secret").map(|text| Secret::new(text.to_owned())),
        scopes,
        extra_params: fields
            .table("extra_params")
            .filter_map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned())))
            .collect(),
        claims: ClaimNames { groups: claim("groups"), email: claim("email"), name: claim("name") },
        allowed_email_domains: fields.read_all("allowed_email_domains", format::domain),
        require_verified_email: fields.flag("require_verified_email"),
        ca_file: fields.path("ca_file", &builder.sources),
    })
}

fn store(builder: &Builder<'_>, session: &Fields<'_>) -> StoreLocation {
    match session.read("store", format::store) {
        Some(StoreLocation::File(path)) => StoreLocation::File(builder.folder().join(path)),
        Some(StoreLocation::Memory) | None => StoreLocation::Memory,
    }
}

/// Reads the keys, and tries them on a store that keeps nothing, so that a bad key has its place.
fn keys(builder: &mut Builder<'_>, fields: &Fields<'_>) -> KeyTexts {
    let secrets = |key| fields.texts(key).into_iter().map(Secret::new).collect();
    let texts = KeyTexts { seal: secrets("seal"), signing: secrets("signing") };
    let tried = Store::open(&StoreLocation::Memory).map_err(AuthenticateError::from);
    if let Err(AuthenticateError::UnusableKey { key, index, reason }) =
        tried.and_then(|store| Keys::load(&texts, &store))
        && let Some(node) = fields.items(key).get(index).filter(|node| node.text().is_some())
    {
        builder.error(node.place, format!("`{key}[{index}]` cannot be used: {reason}"));
    }
    texts
}

/// Parameters of the authorization request that sign-in depends on.
const OWN_PARAMETERS: [&str; 9] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
];
