//! `credential` of a route.

use authenticate::{ClientAuthentication, ClientCredentialsConfig};
use identity::Secret;
use proxy::{Credential, CredentialSource};

use crate::config::builder::Builder;
use crate::config::fields::Fields;
use crate::config::tree::{Node, quoted};
use crate::config::{format, schema};

pub(super) fn build(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<Credential> {
    let place = fields.own("credential")?.place;
    let fields = fields.section("credential", &schema::CREDENTIAL);
    let header = fields.read("header", format::header_name)?;
    if proxy::is_reserved(&header) {
        let name = quoted(header.as_str());
        builder.error(
            place,
            format!("`credential` cannot set {name}, which Portcullis sets itself: choose another header"),
        );
    }
    let source = match (fields.get("value"), fields.get("oauth2")) {
        (Some(value), None) => {
            let value = value.text()?;
            if format::header_value(value).is_err() {
                builder.error(
                    place,
                    "the `value` of `credential` fits no header: remove line breaks and control characters",
                );
            }
            CredentialSource::Fixed(Secret::new(value.to_owned()))
        }
        (None, Some(_)) => CredentialSource::Token(token(builder, &fields.section("oauth2", &schema::OAUTH2))?),
        (Some(_), Some(node)) => {
            builder.error(node.place, "`value` and `oauth2` exclude each other: keep one");
            return None;
        }
        (None, None) => {
            builder.error(place, "`credential` has nothing to add: write `value` or `oauth2`");
            return None;
        }
    };
    Some(Credential { header, source })
}

fn token(builder: &Builder<'_>, fields: &Fields<'_>) -> Option<ClientCredentialsConfig> {
    Some(ClientCredentialsConfig {
        token_url: fields.read("token_url", format::https_url)?,
        client_id: fields.text("client_id")?.to_owned(),
        client_secret: Secret::new(fields.text("client_secret")?.to_owned()),
        client_authentication: match fields.text("client_authentication") {
            Some("client_secret_post") => ClientAuthentication::Post,
            _ => ClientAuthentication::Basic,
        },
        scopes: fields.texts("scopes"),
        params: fields
            .table("params")
            .filter_map(|(name, node)| Some((name.to_owned(), Node::text(node)?.to_owned())))
            .collect(),
        ca_file: fields.path("ca_file", &builder.sources),
    })
}
