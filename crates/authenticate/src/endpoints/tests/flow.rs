//! The way of an honest sign-in, and of browsers that do strange things.

use super::*;

#[tokio::test]
async fn a_user_signs_in_and_comes_back_to_the_page_that_was_asked() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let response = world.sign_in(&mut browser).await;
    assert_eq!((response.status(), location(&response).as_str()), (StatusCode::SEE_OTHER, "/start"));
    assert_eq!(reason(&response), "handed-over");
    let user = world.user(&mut browser).await.unwrap();
    assert_eq!(user["id"], format!("{}|ada", world.provider.issuer));
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["groups"], serde_json::json!(["sre"]));
    assert_eq!(browser.cookies(APP), ["__Host-portcullis"]);
    assert_eq!(browser.cookies(AUTH), ["__Host-portcullis"]);
}
