//! Who gets which format, and what it looks like.

use axum::http::HeaderMap;

use super::{as_text, asks_for_text};

#[test]
fn the_older_format_is_for_those_who_take_nothing_else() {
    let asks = |accept: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().unwrap());
        asks_for_text(&headers)
    };
    for accept in ["text/plain", "text/plain;version=0.0.4", "Text/Plain; version=0.0.4, */*;q=0.1"] {
        assert!(asks(accept), "{accept}");
    }
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    for accept in [prometheus, "*/*", "application/json", "text/*"] {
        assert!(!asks(accept), "{accept}");
    }
    assert!(!asks_for_text(&HeaderMap::new()));
}

#[test]
fn counters_are_called_as_their_samples() {
    let metrics = "# HELP a Of a counter.\n# TYPE a counter\na_total{b=\"# TYPE a counter\"} 1\n\
                   # HELP c Of a gauge.\n# TYPE c gauge\nc 2\n# EOF\n";
    let text = "# HELP a_total Of a counter.\n# TYPE a_total counter\na_total{b=\"# TYPE a counter\"} 1\n\
                # HELP c Of a gauge.\n# TYPE c gauge\nc 2\n";
    assert_eq!(as_text(metrics), text);
}
