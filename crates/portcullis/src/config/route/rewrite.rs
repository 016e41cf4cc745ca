//! What a route changes of requests and responses, and what it answers by itself.

use http::StatusCode;
use proxy::{Answer, HeaderEdits, Path, PathRewrite, Rewrites};

use crate::config::builder::Builder;
use crate::config::fields::Fields;
use crate::config::tree::quoted;
use crate::config::{format, schema};

pub(super) fn build(builder: &mut Builder<'_>, fields: &Fields<'_>, path: &Path) -> Rewrites {
    Rewrites {
        path: path_rewrite(builder, fields, path),
        request_headers: headers(builder, fields, "request_headers"),
        response_headers: headers(builder, fields, "response_headers"),
        answer: answer(builder, fields),
    }
}

fn path_rewrite(builder: &mut Builder<'_>, fields: &Fields<'_>, path: &Path) -> Option<PathRewrite> {
    if let (Some(_), Some(node)) = (fields.own("prefix_rewrite"), fields.own("regex_rewrite")) {
        builder.error(node.place, "`prefix_rewrite` and `regex_rewrite` exclude each other: keep one");
    }
    if let Some(to) = fields.read("prefix_rewrite", format::rewritten_path) {
        let from = match path {
            Path::Prefix(prefix) => prefix.clone(),
            Path::Any => String::new(),
            Path::Exact(_) | Path::Regex(_) => {
                if let Some(node) = fields.own("prefix_rewrite") {
                    builder.error(node.place, "`prefix_rewrite` goes with `prefix`: use `regex_rewrite` here");
                }
                return None;
            }
        };
        return Some(PathRewrite::Prefix { from, to: to.trim_end_matches('/').to_owned() });
    }
    fields.own("regex_rewrite")?;
    let own = fields.section("regex_rewrite", &schema::REGEX_REWRITE);
    let pattern = format::regex(own.text("pattern")?).ok()?;
    let substitution = own.read("substitution", format::rewritten_path)?;
    let unknown = references(&substitution).find(|name| match name.parse::<usize>() {
        Ok(number) => number >= pattern.captures_len(),
        Err(_) => !pattern.capture_names().flatten().any(|known| known == *name),
    });
    if let (Some(name), Some(node)) = (unknown, own.get("substitution")) {
        let name = quoted(name);
        builder.error(
            node.place,
            format!(
                "`pattern` has no group {name}: write `$1` or `$name` of a group, or `$${{1}}` where letters follow"
            ),
        );
    }
    Some(PathRewrite::Regex { pattern, substitution })
}

/// Returns the groups that a substitution names, as `regex` reads them.
fn references(substitution: &str) -> impl Iterator<Item = &str> {
    substitution.split('$').skip(1).filter(|rest| !rest.is_empty()).map(|rest| {
        let end = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        match rest.strip_prefix('{') {
            Some(braced) => braced.split('}').next().unwrap_or_default(),
            None => rest.get(..end(rest)).unwrap_or_default(),
        }
    })
}

fn headers(builder: &mut Builder<'_>, fields: &Fields<'_>, key: &'static str) -> HeaderEdits {
    let own = fields.section(key, &schema::HEADER_EDITS);
    let mut edits = HeaderEdits::default();
    for (list, into) in [("set", &mut edits.set), ("add", &mut edits.add)] {
        for (name, node) in own.table(list) {
            let value = node.text().and_then(|text| format::header_value(text).ok());
            match format::header_name(name) {
                Err(reason) => builder.error(node.place, format!("{} is {reason}", quoted(name))),
                Ok(name) if proxy::is_reserved(&name) => builder.error(node.place, reserved(key, name.as_str())),
                Ok(name) if key == "request_headers" && name == http::header::AUTHORIZATION => builder.error(
                    node.place,
                    "`request_headers` cannot set `authorization`: `credential` does, and keeps it secret",
                ),
                Ok(name) => into.extend(value.map(|value| (name, value))),
            }
        }
    }
    for node in own.items("remove") {
        match node.text().and_then(|text| format::header_name(text).ok()) {
            Some(name) if proxy::is_reserved(&name) => builder.error(node.place, reserved(key, name.as_str())),
            Some(name) => edits.remove.push(name),
            None => {}
        }
    }
    edits
}

fn reserved(key: &str, name: &str) -> String {
    format!(
        "`{key}` cannot change {}: it belongs to the connection, to cookies, or to what apps are told of the caller; remove it",
        quoted(name)
    )
}

fn answer(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<Answer> {
    let mut written = ["to", "redirect", "respond"].into_iter().filter_map(|key| Some((key, fields.own(key)?)));
    match (written.next(), written.next()) {
        (Some((first, _)), Some((second, node))) => {
            builder.error(node.place, format!("`{first}` and `{second}` exclude each other: keep one"));
        }
        (None, _) => {
            if let Some(place) = fields.place() {
                builder.error(place, "the key `to` is missing: add it, or `redirect` or `respond`");
            }
        }
        (Some(_), None) => {}
    }
    if fields.own("redirect").is_some() {
        let own = fields.section("redirect", &schema::REDIRECT);
        if let Some(node) = own.get("url").filter(|_| own.flag("append_path"))
            && node.text().is_some_and(|text| text.contains(['?', '#']))
        {
            builder.error(node.place, "`append_path` needs a URL without query and fragment: remove them");
        }
        return Some(Answer::Redirect {
            status: own.read("status", |text| text.parse::<StatusCode>())?,
            to: own.read("url", format::location)?,
            append_path: own.flag("append_path"),
        });
    }
    fields.own("respond")?;
    let own = fields.section("respond", &schema::RESPOND);
    Some(Answer::Respond {
        status: own.number::<u16>("status").and_then(|status| StatusCode::from_u16(status).ok())?,
        body: own.text("body").unwrap_or_default().to_owned(),
        content_type: own.read("content_type", format::header_value)?,
    })
}
