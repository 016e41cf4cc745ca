//! Which filters are taken.

use super::is_described;

#[test]
fn a_filter_is_a_level_and_then_levels_of_modules() {
    for filter in ["info", "off", "info,access=off", "warn,proxy::http2=trace,h2=debug"] {
        assert!(is_described(filter), "{filter}");
    }
    for filter in
        ["", "nonsense", "INFO", "info,", "info,proxy", "proxy=debug", "info,2h=debug", "info,a::=info", "info ", "5"]
    {
        assert!(!is_described(filter), "{filter}");
    }
}
