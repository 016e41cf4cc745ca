//! Where a browser may be sent back to.

use super::return_path;

#[test]
fn a_path_of_the_own_host_is_kept() {
    for path in
        ["/", "/x", "/x/y?z=//a&b=%2F%2Fc", "/%C3%A4", "/a//b", "/a/../b/", "/./x", "/x?u=https://evil.example.com"]
    {
        assert_eq!(return_path(Some(path)), path);
    }
}

#[test]
fn what_a_browser_might_take_for_another_host_is_not() {
    let tricks = [
        "",
        "//evil",
        "/\\evil",
        "\\/evil",
        "/\t/evil",
        "/\n/evil",
        "/%09/evil",
        "/%0a/evil",
        "/%2f/evil",
        "/%2Fevil",
        "/%5cevil",
        "/%5Cevil",
        "/.//evil",
        "/.%2f/evil",
        "/%2e//evil",
        "/a/..//evil",
        "/a//../..//evil",
        "/a%5cb",
        "https:evil",
        "https://app.example.com.evil",
        "https://app.example.com@evil",
        "http:///evil",
        "/%0d%0aLocation:x",
        "javascript:alert(1)",
        " https://evil",
        " //evil",
        ".example.com",
        "@evil",
        "x",
        "?x",
        "#x",
        "/\u{7f}",
        "/%00",
        "/%ff%fe",
        "/ä",
        "/\u{2028}",
        "/ x",
    ];
    for trick in tricks {
        assert_eq!(return_path(Some(trick)), "/", "{trick:?}");
    }
    assert_eq!(return_path(None), "/");
    assert_eq!(return_path(Some(&format!("/{}", "x".repeat(5_000)))), "/");
}
