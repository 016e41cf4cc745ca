//! What is taken from a challenge.

use super::Wishes;

#[test]
fn what_a_route_asks_of_a_sign_in_is_asked_and_nothing_else() {
    let wishes = Wishes::of(
        "https://a.example.com/.portcullis/sign_in?return_to=%2F&provider=corp&max_age=900&acr_values=phr%20phrh&prompt=none",
    );
    let pairs: Vec<_> = wishes.parameters().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("provider", "corp"), ("max_age", "900"), ("acr_values", "phr phrh")]);
    for nothing in ["", "no url", "https://a.example.com/"] {
        assert_eq!(Wishes::of(nothing), Wishes::default());
    }
}
