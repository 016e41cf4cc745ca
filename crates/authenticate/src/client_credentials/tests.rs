//! Fetching, keeping and renewing, against a token endpoint on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A token endpoint that answers the n-th request with the n-th text, the last one for ever.
struct Endpoint {
    url: Url,
    asked: Arc<RwLock<Vec<String>>>,
}

impl Endpoint {
    async fn answering(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap()).parse().unwrap();
        let asked = Arc::<RwLock<Vec<String>>>::default();
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap();
                let number = {
                    let mut asked = kept.write().unwrap();
                    asked.push(String::from_utf8_lossy(&request[..length]).into_owned());
                    asked.len()
                };
                let (status, body) = answers.get(number - 1).or(answers.last()).unwrap();
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.read().unwrap().clone()
    }
}

fn token(name: &str, seconds: u64) -> (u16, String) {
    (200, format!(r#"{{"access_token":"{name}","token_type":"bearer","expires_in":{seconds}}}"#))
}

fn source(endpoint: &Endpoint, client_authentication: ClientAuthentication) -> (ClientCredentials, Arc<AtomicUsize>) {
    let config = ClientCredentialsConfig {
        token_url: endpoint.url.clone(),
        client_id: "a client".into(),
        client_secret: Secret::new("s:cret".into()),
        client_authentication,
        scopes: vec!["read".into(), "write".into()],
        params: vec![("audience".into(), "https://api.test".into())],
        ca_file: None,
    };
    let fetched = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetched);
    let observe = move |what| {
        counted.fetch_add(usize::from(what == Fetched::Token), Ordering::SeqCst);
    };
    (ClientCredentials::new(config, observe).unwrap(), fetched)
}

#[tokio::test]
async fn however_many_race_one_token_is_fetched_and_kept() {
    let endpoint = Endpoint::answering(vec![token("one", 3600), token("two", 3600)]).await;
    let (source, fetched) = source(&endpoint, ClientAuthentication::Basic);
    let racing: Vec<_> = (0..10)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.header().await.unwrap() })
        })
        .collect();
    for header in racing {
        assert_eq!(header.await.unwrap(), "Bearer one");
    }
    assert_eq!((endpoint.asked().len(), fetched.load(Ordering::SeqCst)), (1, 1));
    let request = &endpoint.asked()[0];
    // `a+client:s%3Acret`
    assert!(request.contains("authorization: Basic YStjbGllbnQ6cyUzQWNyZXQ=\r\n"), "{request}");
    let form = "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fapi.test";
    assert!(request.ends_with(form), "{request}");
}

#[tokio::test]
async fn the_secret_may_be_sent_in_the_form() {
    let endpoint = Endpoint::answering(vec![token("one", 3600)]).await;
    let (source, _) = source(&endpoint, ClientAuthentication::Post);
    source.header().await.unwrap();
    let request = &endpoint.asked()[0];
    assert!(request.ends_with("&client_id=a+client&client_secret=s%3Acret") && !request.contains("authorization"));
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_take_the_token_along() {
    let endpoint = Endpoint::answering(vec![token("one", 3600), token("two", 3600)]).await;
    let (source, fetched) = source(&endpoint, ClientAuthentication::Basic);
    let mut hurried = Box::pin(source.header());
    assert!(polled_once(&mut hurried).is_none());
    drop(hurried);
    assert_eq!(source.header().await.unwrap(), "Bearer one");
    assert_eq!((endpoint.asked().len(), fetched.load(Ordering::SeqCst)), (1, 1));
}

/// Polls once.
fn polled_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_lifetime_may_be_written_as_a_text_or_not_at_all() {
    let day = 24 * 60 * 60;
    for (written, seconds) in [
        (r#","expires_in":3599"#, 3599),
        (r#","expires_in":"3599""#, 3599),
        (r#","expires_in":3599.0"#, 3599),
        (r#","expires_in":1e30"#, day),
        (r#","expires_in":0"#, 1),
        (r#","expires_in":null"#, 300),
        ("", 300),
    ] {
        let body = format!(r#"{{"access_token":"x","token_type":"Bearer"{written}}}"#);
        let before = Instant::now();
        let answer: Answer = serde_json::from_str(&body).unwrap();
        let token = answer.token(before).unwrap();
        assert_eq!(token.ends - before, Duration::from_secs(seconds), "{written}");
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_that_had_it() {
    let endpoint = Endpoint::answering(vec![token("one", 3600), token("two", 3600), token("three", 3600)]).await;
    let (source, _) = source(&endpoint, ClientAuthentication::Basic);
    let first = source.header().await.unwrap();
    for _ in 0..3 {
        assert_eq!(source.renew(&first).await.unwrap(), "Bearer two");
    }
    assert_eq!(source.header().await.unwrap(), "Bearer two");
    assert_eq!(endpoint.asked().len(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_while_the_old_one_serves() {
    let endpoint = Endpoint::answering(vec![token("one", 3600), token("two", 3600)]).await;
    let (source, fetched) = source(&endpoint, ClientAuthentication::Basic);
    source.header().await.unwrap();
    source.0.token.write().unwrap().as_mut().unwrap().renewed_from = Instant::now();
    assert_eq!(source.header().await.unwrap(), "Bearer one");
    while fetched.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(source.header().await.unwrap(), "Bearer two");
    assert_eq!(endpoint.asked().len(), 2);
}

#[tokio::test]
async fn a_token_that_has_ended_is_not_used() {
    let endpoint = Endpoint::answering(vec![token("one", 3600), (503, String::new())]).await;
    let (source, _) = source(&endpoint, ClientAuthentication::Basic);
    source.header().await.unwrap();
    source.0.token.write().unwrap().as_mut().unwrap().ends = Instant::now();
    let error = source.header().await.unwrap_err().to_string();
    assert_eq!(error, format!("no token from `{}`: it answered 503", endpoint.url));
}

#[tokio::test]
async fn a_failure_is_told_to_all_without_asking_again_at_once() {
    let refused = (400, r#"{"error":"invalid_client","error_description":"<script>"}"#.to_owned());
    let endpoint = Endpoint::answering(vec![refused]).await;
    let (source, fetched) = source(&endpoint, ClientAuthentication::Basic);
    for _ in 0..3 {
        let error = source.header().await.unwrap_err().to_string();
        assert_eq!(error, format!("no token from `{}`: it answered 400 `invalid_client`", endpoint.url));
    }
    assert_eq!((endpoint.asked().len(), fetched.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn answers_that_are_no_bearer_token_are_refused() {
    for (body, reason) in [
        ("hello", "its answer is no JSON of a token"),
        ("{}", "its answer holds no `access_token`"),
        (r#"{"access_token":"x","token_type":"mac"}"#, "its token is not of the type `Bearer`"),
        (r#"{"access_token":"x","token_type":"Bearer","expires_in":-1}"#, "its `expires_in` is no number of seconds"),
        (r#"{"access_token":"x"}"#, "its token is not of the type `Bearer`"),
        (r#"{"access_token":"tök€","token_type":"Bearer"}"#, "its token fits no header"),
        (r#"{"access_token":"x\ny","token_type":"Bearer"}"#, "its token fits no header"),
    ] {
        let endpoint = Endpoint::answering(vec![(200, body.to_owned())]).await;
        let (source, _) = source(&endpoint, ClientAuthentication::Basic);
        let error = source.header().await.unwrap_err().to_string();
        assert!(error.ends_with(reason), "{body}: {error}");
        assert!(!format!("{source:?}").contains("s:cret"));
    }
}
