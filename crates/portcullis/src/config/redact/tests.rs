//! What operators see, and what they do not.

use crate::config::tests::Folder;

#[test]
fn no_secret_is_shown_and_everything_else_is() {
    let text = "\
listeners: [{ address: 127.0.0.1:0 }]
admin: { token: 'a-token-of-sixteen-characters' }
authenticate:
  url: http://auth.test
  providers:
    - { id: corp, issuer: https://idp.test, client_id: us, client_secret: hush, extra_params: { api_token: quiet, passwd: mute, sig-signature: still } }
  keys: { seal: ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='] }
  session: { store: memory }
routes:
  - { from: http://app.test, to: http://127.0.0.1:9, allow: 'true', websockets: any }
";
    let shown = Folder::new(text).load().unwrap().shown.to_string();
    for secret in ["a-token", "hush", "quiet", "mute", "still", "AAAA"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for plain in ["127.0.0.1:0", "https://idp.test", r#""client_id":"us""#, r#""websockets":"any""#, "[redacted]"] {
        assert!(shown.contains(plain), "{plain} is not in {shown}");
    }
}
