//! `portcullis connect`: a service behind the proxy, reached as the user who confirms it in a browser.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use integration::{Browser, Proxy, Result as Outcome, Setup};
use portcullis::connect::{Client, Failure, Notice, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::Result;

/// Answers each connection with all that it sent, once it has ended its direction.
async fn turns_around() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await?;
                all.reverse();
                stream.write_all(&all).await?;
                stream.shutdown().await
            });
        }
    });
    Ok(address)
}

/// A proxy with one tunnel, `ssh.localhost:22`, for members of `engineering`.
async fn proxy(upstream: SocketAddr, more: &Value) -> Outcome<Proxy> {
    let mut route = json!({ "from": "tcp+https://ssh.localhost:22", "allow": "'engineering' in user.groups" });
    integration::merge(&mut route, more);
    Setup::default().route("ssh", &format!("tcp://{upstream}"), &route).start().await
}

/// What a person does with the address that they are shown: signs in, confirms, and lets the browser go where it is sent.
async fn confirm(browser: &mut Browser, url: &str, user: &str) -> Outcome<u16> {
    let page = browser.open(url, user).await?;
    if page.status != 200 || page.url.path() != "/.portcullis/connect" {
        return Err(format!("no page to confirm at {}: {}", page.url, page.text()).into());
    }
    let html = page.text();
    let action = html.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).ok_or("no form")?;
    let action = page.url.join(&action.replace("&#38;", "&").replace("&amp;", "&"))?;
    let headers = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")];
    let sent = browser.send(Method::POST, action.as_str(), &headers, Bytes::new()).await?;
    let arrived = browser.get(sent.header("location")).await?;
    Ok(arrived.status.as_u16())
}

/// A program, and how often its user was asked to sign in.
struct Program {
    client: Arc<Client>,
    asked: Arc<AtomicUsize>,
    _directory: Option<tempfile::TempDir>,
}

impl Program {
    /// One whose user is `user`, with a browser of their own.
    fn of(proxy: &Proxy, user: &'static str) -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let mut program = Self::in_directory(proxy, user, proxy.browser(), directory.path())?;
        program._directory = Some(directory);
        Ok(program)
    }

    fn in_directory(proxy: &Proxy, user: &'static str, browser: Browser, directory: &Path) -> Outcome<Self> {
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, browser) = (Arc::clone(&asked), Arc::new(tokio::sync::Mutex::new(browser)));
        let tell = move |notice: Notice<'_>| {
            if let Notice::SignIn(url) = notice {
                count.fetch_add(1, Ordering::SeqCst);
                let (url, browser) = (url.to_owned(), Arc::clone(&browser));
                tokio::spawn(async move { confirm(&mut *browser.lock().await, &url, user).await });
            }
        };
        let client = Arc::new(Client::new(options(proxy, directory)?, Arc::new(tell))?);
        Ok(Self { client, asked, _directory: None })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn carried(&self, bytes: &[u8]) -> Outcome<Vec<u8>> {
        turned(self.client.open().await?, bytes).await
    }
}

/// A client, and the addresses that its user is shown.
fn shown(proxy: &Proxy, directory: &Path) -> Outcome<(Client, UnboundedReceiver<String>)> {
    let (url, urls) = mpsc::unbounded_channel();
    let tell = move |notice: Notice<'_>| {
        if let Notice::SignIn(asked) = notice {
            let _ = url.send(asked.to_owned());
        }
    };
    Ok((Client::new(options(proxy, directory)?, Arc::new(tell))?, urls))
}

fn options(proxy: &Proxy, directory: &Path) -> Outcome<Options> {
    Ok(Options {
        target: "ssh.localhost:22".parse()?,
        proxy: Some(proxy.address().to_string().parse()?),
        ca_file: Some(proxy.folder().path("ca.pem")),
        directory: directory.to_owned(),
    })
}

/// Sends bytes, ends that direction, and returns what comes back.
async fn turned<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) -> Outcome<Vec<u8>> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut back = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut back)).await??;
    Ok(back)
}

fn body(answer: &str) -> Outcome<Value> {
    Ok(serde_json::from_str(answer.split_once("\r\n\r\n").ok_or("no answer")?.1)?)
}

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_user_who_confirms_is_carried_to_the_service_and_back_with_both_ends_passed_on() -> Result {
    let proxy = proxy(turns_around().await?, &json!({})).await?;
    let program = Program::of(&proxy, "ada")?;
    assert_eq!(program.carried(b"abc").await?, b"cba");
    let large: Vec<u8> = (0..3_000_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let back = program.carried(&large).await?;
    assert!(back.iter().eq(large.iter().rev()));
    assert_eq!(program.asked(), 1, "signed in once for both");
    let records = proxy.stop().await?;
    let handed: Vec<_> = records.iter().filter(|record| record["reason"] == "handed-to-program").collect();
    assert_eq!(handed.len(), 1);
    assert_eq!((&handed[0]["kind"], &handed[0]["decision"]), (&json!("sign_in"), &json!("allow")));
    assert_eq!(handed[0]["user"]["email"], "ada@example.com");
    let tunnels: Vec<_> =
        records.iter().filter(|record| record["method"] == "CONNECT" && record["decision"] == "allow").collect();
    assert!(tunnels.len() >= 2, "{tunnels:?}");
    assert!(tunnels.iter().all(|tunnel| tunnel["session"] == handed[0]["session"]), "{tunnels:?}");
    let text = serde_json::to_string(&records)?;
    assert!(!text.contains("code_verifier=") && !text.contains("__Host-portcullis="), "a credential was recorded");
    Ok(())
}

#[tokio::test]
async fn several_tunnels_at_once_ask_for_one_sign_in() -> Result {
    let proxy = proxy(turns_around().await?, &json!({})).await?;
    let directory = tempfile::tempdir()?;
    let program = || Program::in_directory(&proxy, "ada", proxy.browser(), directory.path());
    let programs = [program()?, program()?, program()?];
    let mut tunnels = JoinSet::new();
    for program in programs.iter().chain(&programs) {
        let client = Arc::clone(&program.client);
        tunnels.spawn(async move { turned(client.open().await?, b"ab").await });
    }
    while let Some(carried) = tunnels.join_next().await {
        assert_eq!(carried??, b"ba");
    }
    assert_eq!(programs.iter().map(Program::asked).sum::<usize>(), 1);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_session_that_was_revoked_closes_its_tunnels_and_is_asked_for_anew() -> Result {
    let proxy = proxy(turns_around().await?, &json!({})).await?;
    let program = Program::of(&proxy, "ada")?;
    let open = program.client.open().await?;
    let listed: Value = body(&proxy.admin_get("localhost", "/sessions").await?)?;
    let session = listed["sessions"].as_array().into_iter().flatten().find(|session| session["program"] == true);
    let id = session.and_then(|session| session["id"].as_str()).ok_or("no session of a program is listed")?;
    proxy.admin_send("DELETE", &format!("/sessions/{id}")).await?;
    let (_terminal, here) = tokio::io::duplex(64);
    let carried = timeout(PATIENCE, portcullis::connect::carry(open, here, std::future::pending())).await?;
    let told = carried.err().ok_or("it ended well")?.to_string();
    assert!(told.starts_with("the proxy closed the tunnel: the session ended, the policy changed"), "{told}");
    assert_eq!(program.carried(b"ab").await?, b"ba");
    assert_eq!(program.asked(), 2);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_stopped_says_so_to_the_proxy() -> Result {
    let service = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = proxy(service.local_addr()?, &json!({})).await?;
    let program = Program::of(&proxy, "ada")?;
    let open = program.client.open().await?;
    let (mut service, _) = service.accept().await?;
    let (_terminal, here) = tokio::io::duplex(64);
    portcullis::connect::carry(open, here, std::future::ready(())).await?;
    let mut heard = Vec::new();
    // An end, and nothing that broke off.
    timeout(PATIENCE, service.read_to_end(&mut heard)).await??;
    drop(service);
    let records = proxy.stop().await?;
    assert!(records.iter().all(|record| record["method"] != "CONNECT" || record["error"].is_null()), "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn signing_out_in_the_browser_closes_the_tunnels_of_its_programs() -> Result {
    let proxy = proxy(turns_around().await?, &json!({})).await?;
    let directory = tempfile::tempdir()?;
    let (client, mut urls) = shown(&proxy, directory.path())?;
    let mut browser = proxy.browser();
    let person = async {
        let url = urls.recv().await.ok_or("nobody was asked")?;
        confirm(&mut browser, &url, "ada").await
    };
    let (tunnel, confirmed) = tokio::join!(client.open(), person);
    assert_eq!(confirmed?, 200);
    let mut tunnel = tunnel?;
    let headers = [("sec-fetch-site", "same-origin")];
    let sign_out = "https://ssh.localhost/.portcullis/sign_out";
    let answer = browser.send(Method::POST, sign_out, &headers, Bytes::new()).await?;
    assert_eq!(answer.status, 303);
    let closed = timeout(PATIENCE, tunnel.read_u8()).await?;
    assert!(closed.is_err(), "{closed:?}");
    let records = proxy.stop().await?;
    let ended = records.iter().filter(|record| record["kind"] == "revoke" && record["reason"] == "signed-out");
    assert_eq!(ended.count(), 1);
    Ok(())
}

#[tokio::test]
async fn who_is_gone_at_the_provider_has_no_tunnel_left_open() -> Result {
    let service = TcpListener::bind("127.0.0.1:0").await?;
    let route = json!({ "from": "tcp+https://ssh.localhost:22", "allow": "'engineering' in user.groups" });
    let to = format!("tcp://{}", service.local_addr()?);
    let proxy = Setup::default().token_life(Duration::from_secs(2)).route("ssh", &to, &route).start().await?;
    let program = Program::of(&proxy, "ada")?;
    let mut open = program.client.open().await?;
    // Neither the program nor the browser asks for anything from here on.
    proxy.provider().remove("ada");
    let closed = timeout(PATIENCE, open.read_u8()).await?;
    assert!(closed.is_err(), "{closed:?}");
    let records = proxy.stop().await?;
    let of = |kind: &str| records.iter().filter(|record| record["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("refresh_failed").len(), of("stream_closed").len()), (1, 1), "{records:#?}");
    let (revoked, closed) = (of("revoke"), &of("stream_closed")[0]);
    assert_eq!((revoked.len(), &revoked[0]["reason"]), (1, &json!("grant-ended")));
    assert_eq!((&closed["reason"], &closed["session"]), (&json!("session-ended"), &revoked[0]["session"]));
    Ok(())
}

#[tokio::test]
async fn signing_the_program_out_ends_its_session_and_forgets_it() -> Result {
    let proxy = proxy(turns_around().await?, &json!({})).await?;
    let program = Program::of(&proxy, "ada")?;
    program.carried(b"ab").await?;
    assert!(program.client.sign_out().await?);
    assert!(!program.client.sign_out().await?, "it is forgotten");
    let listed: Value = body(&proxy.admin_get("localhost", "/sessions").await?)?;
    let sessions = listed["sessions"].as_array().ok_or("no list")?;
    assert!(!sessions.is_empty() && sessions.iter().all(|session| session["program"] == false), "{listed}");
    program.carried(b"ab").await?;
    assert_eq!(program.asked(), 2);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn whoever_the_policy_refuses_is_told_so_in_a_sentence() -> Result {
    let proxy = proxy(
        turns_around().await?,
        &json!({ "deny": [{ "name": "no-mallory", "when": "user.name == 'Mallory'", "message": "Ask #it-help." }] }),
    )
    .await?;
    let program = Program::of(&proxy, "mallory")?;
    let failure = program.client.open().await.err().ok_or("it is open")?;
    let told = failure.to_string();
    assert!(
        told.starts_with("the policy does not let you reach `ssh.localhost:22`: Ask #it-help. (status 403, "),
        "{told}"
    );
    assert!(told.contains("; you are signed in as `") && told.contains("end that with `--sign-out`"), "{told}");
    assert!(failure.is_an_answer());
    let again = program.client.open().await.err().ok_or("it is open")?.to_string();
    assert_eq!(again.split("; you").nth(1), told.split("; you").nth(1), "of the session that is kept, too");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_away_is_told_from_a_proxy_that_is() -> Result {
    let away = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let proxy = proxy(away, &json!({})).await?;
    let program = Program::of(&proxy, "ada")?;
    let told = program.client.open().await.err().ok_or("it is open")?.to_string();
    assert!(told.starts_with("the proxy cannot reach the service behind `ssh.localhost:22`"), "{told}");
    proxy.stop().await?;
    let failure = program.client.open().await.err().ok_or("it is open")?;
    assert!(matches!(failure, Failure::Unreachable { .. }) && !failure.is_an_answer(), "{failure}");
    Ok(())
}

#[tokio::test]
async fn a_proxy_without_the_right_certificate_is_told_nothing() -> Result {
    let proxy = proxy(turns_around().await?, &json!({})).await?;
    let directory = tempfile::tempdir()?;
    let refused = async |target: &str, ca_file: Option<std::path::PathBuf>| -> Outcome<String> {
        let options = Options { target: target.parse()?, ca_file, ..options(&proxy, directory.path())? };
        let client = Client::new(options, Arc::new(|_| ()))?;
        Ok(client.open().await.err().ok_or("it is open")?.to_string())
    };
    for (target, ca_file, advice) in [
        ("ssh.localhost:22", None, "; `--ca-file FILE` names a private one"),
        (
            "other.localhost:22",
            Some(proxy.folder().path("ca.pem")),
            "; check `--proxy`, or have the listener use one for",
        ),
    ] {
        let told = refused(target, ca_file).await?;
        assert!(told.contains("does not prove that it is") && told.contains(advice), "{told}");
    }
    let told = refused("ssh.localhost:22", Some(proxy.folder().path("key.pem"))).await.unwrap_err().to_string();
    assert!(told.contains("`--ca-file` cannot be used") && told.ends_with("no certificate in it, in PEM"), "{told}");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_banned_network_is_not_asked_to_sign_a_program_in() -> Result {
    let banned = json!({ "deny": "request.ip.inCIDR('127.0.0.0/8')" });
    let proxy = proxy(turns_around().await?, &banned).await?;
    for path in ["/.portcullis/connect", "/.portcullis/connect?redirect_uri=x", "/.portcullis/connect/session"] {
        let answer = proxy.browser().get(&format!("https://ssh.localhost{path}")).await?;
        assert_eq!(answer.status, 403, "{path}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn programs_get_sessions_where_there_is_a_tunnel_and_nowhere_else() -> Result {
    let upstream = turns_around().await?;
    let members = json!({ "allow": "'engineering' in user.groups" });
    let proxy = Setup::default().route("app", &format!("http://{upstream}"), &members).start().await?;
    let mut ada = proxy.browser();
    ada.open("https://app.localhost/.portcullis/", "ada").await?;
    for host in ["app", "auth"] {
        let answer = ada.get(&format!("https://{host}.localhost/.portcullis/connect")).await?;
        assert_eq!(answer.status, 404, "{host}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_port_of_this_computer_carries_each_connection_in_a_tunnel_of_its_own() -> Result {
    let proxy = proxy(turns_around().await?, &json!({})).await?;
    let program = Program::of(&proxy, "ada")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?;
    let serving = tokio::spawn(portcullis::connect::listen(Arc::clone(&program.client), listener, |_| ()));
    let carried = async |text| turned(TcpStream::connect(port).await?, text).await;
    let (one, two) = tokio::join!(carried(b"ab"), carried(b"cd"));
    assert_eq!((one?, two?), (b"ba".to_vec(), b"dc".to_vec()));
    assert_eq!(program.asked(), 1);
    serving.abort();
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_a_tunnel_asks_of_a_sign_in_is_asked_of_the_program_s_user() -> Result {
    let more = json!({ "provider": "tests", "step_up": { "max_auth_age": "1h" } });
    let proxy = proxy(turns_around().await?, &more).await?;
    let directory = tempfile::tempdir()?;
    let (client, mut urls) = shown(&proxy, directory.path())?;
    let opening = tokio::spawn(async move { client.open().await.map(drop) });
    let asked = Url::parse(&timeout(PATIENCE, urls.recv()).await?.ok_or("nobody was asked")?)?;
    let wishes: Vec<_> = asked.query_pairs().filter(|(name, _)| name == "provider" || name == "max_age").collect();
    assert_eq!(wishes, [("provider".into(), "tests".into()), ("max_age".into(), "3600".into())]);
    opening.abort();
    proxy.stop().await?;
    Ok(())
}
