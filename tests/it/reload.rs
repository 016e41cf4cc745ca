//! A changed configuration takes effect whole, at once and without a loss; a bad one changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration::{Proxy, Setup, Upstream, connect, http2, read_request, status};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;

fn open() -> Value {
    json!({ "authenticate": "none", "allow": "true" })
}

/// Answers on every connection, and counts them.
async fn counting() -> Result<(Upstream, Arc<AtomicUsize>)> {
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    let upstream = Upstream::with(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut buffer = Vec::new();
            while read_request(&mut stream, &mut buffer).await.is_some() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
            }
        }
    })
    .await?;
    Ok((upstream, connections))
}

/// Asks on a connection that stays open, and returns the status.
async fn ask(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin), host: &str) -> Result<u16> {
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no length")?.parse()?;
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(status(&head.replace("http/1.1", "HTTP/1.1")))
}

/// Asks the admin listener until its answer is as expected.
async fn until(proxy: &Proxy, path: &str, expected: impl Fn(&str) -> bool) -> Result<String> {
    let asking = async {
        loop {
            let answer = proxy.admin_get("localhost", path).await?;
            if expected(&answer) {
                return Ok(answer);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await?
}

#[tokio::test]
async fn what_was_asked_before_a_reload_still_counts_unless_the_limit_is_another() -> Result {
    let upstream = Upstream::hello().await?;
    let limited = json!({
        "authenticate": "none", "allow": "true", "rate_limit": { "requests": 2, "period": "1d", "by": "client_ip" },
    });
    let proxy = Setup::default().route("one", &upstream.url(), &limited).start().await?;
    let browser = &mut proxy.browser();
    for expected in [200, 200, 429] {
        assert_eq!(browser.get("https://one.localhost/").await?.status, expected);
    }
    proxy.reload(|file| file["routes"][0]["allow"] = json!("request.method == 'GET'")).await?;
    assert_eq!(browser.get("https://one.localhost/").await?.status, 429);
    proxy.reload(|file| file["routes"][0]["rate_limit"]["requests"] = json!(3)).await?;
    assert_eq!(browser.get("https://one.localhost/").await?.status, 200);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_changed_file_takes_effect_and_a_bad_one_changes_nothing() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let browser = &mut proxy.browser();
    assert_eq!(browser.get("https://one.localhost/").await?.status, 200);
    let first = proxy.revision().await?;

    proxy.configure(|file| file["routes"][0]["allow"] = json!("request.path == '/b'"))?;
    until(&proxy, "/readyz?verbose", |answer| !answer.contains(&first)).await?;
    assert_eq!(browser.get("https://one.localhost/").await?.status, 403);
    assert_eq!(browser.get("https://one.localhost/b").await?.status, 200);
    let second = proxy.revision().await?;

    proxy.configure(|file| file["routes"][0]["allow"] = json!("user.emial == 'a'"))?;
    let told = until(&proxy, "/readyz?verbose", |answer| answer.contains("the last good one serves")).await?;
    assert!(status(&told) == 200 && told.contains(&second) && told.contains("emial"), "{told}");
    assert!(told.contains("portcullis.yaml:"), "{told}");
    assert_eq!(browser.get("https://one.localhost/b").await?.status, 200);
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    for expected in [
        "portcullis_config_last_reload_success 0",
        r#"portcullis_config_reloads_total{result="refused"} 1"#,
        r#"portcullis_config_reloads_total{result="taken"} 1"#,
        &format!(r#"portcullis_config_info{{revision="{second}"}} 1"#),
    ] {
        assert!(metrics.contains(expected), "{expected} is not in {metrics}");
    }
    assert!(!metrics.contains(&first), "{metrics}");

    proxy.configure(|file| file["routes"][0]["allow"] = json!("true"))?;
    until(&proxy, "/readyz?verbose", |answer| answer.contains("configuration: good")).await?;
    assert_eq!(proxy.revision().await?, first, "the same files are the same revision");
    let records = proxy.stop().await?;
    let decided = |path: &str| -> Vec<_> {
        records.iter().filter(|record| record["path"] == path).map(|record| record["revision"].clone()).collect()
    };
    assert_eq!(decided("/"), [json!(first), json!(second)]);
    assert_eq!(decided("/b"), [json!(second), json!(second)]);
    Ok(())
}

#[tokio::test]
async fn a_reload_is_asked_for_by_programs_and_not_by_web_pages() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let first = proxy.revision().await?;
    for content in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let mut stream = TcpStream::connect(proxy.admin()).await?;
        let request = format!(
            "POST /reload HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content}\r\ncontent-length: 0\r\nconnection: \
             close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        assert_eq!(status(&answer), 415, "{answer}");
    }
    let answer = proxy.reload(|file| file["routes"][0]["allow"] = json!("false")).await?;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!answer.contains(&first), "{answer}");
    assert_eq!(proxy.browser().get("https://one.localhost/").await?.status, 403);
    let answer = proxy.reload(|file| file["routes"][0]["allwo"] = json!("true")).await?;
    assert_eq!(status(&answer), 422, "{answer}");
    assert!(answer.contains("configuration_refused") && answer.contains("allwo"), "{answer}");
    let answer = proxy.reload(|file| *file = json!({ "listeners": [] })).await?;
    assert_eq!(status(&answer), 422, "{answer}");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_did_not_change_keeps_its_sockets_and_connections() -> Result {
    let (upstream, connections) = counting().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let mut kept = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    assert_eq!(ask(&mut kept, "one.localhost").await?, 200);

    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let (busy, free) = (taken.local_addr()?, {
        let found = TcpListener::bind("127.0.0.1:0").await?;
        found.local_addr()?
    });
    let second = |address: String| json!({ "name": "second", "address": address });
    let told = async || -> Result<usize> {
        let metrics = proxy.admin_get("localhost", "/metrics").await?;
        Ok(metrics.matches("portcullis_tls_certificate_not_after_seconds{").count())
    };
    assert_eq!(told().await?, 1);
    let answer = proxy
        .reload(|file| {
            file["listeners"].as_array_mut().unwrap().push(second(busy.to_string()));
            file["routes"][0]["allow"] = json!("false");
        })
        .await?;
    assert_eq!(status(&answer), 422, "{answer}");
    assert!(answer.contains(&format!("cannot bind `{busy}`")), "{answer}");
    assert_eq!(ask(&mut kept, "one.localhost").await?, 200, "nothing of it is in force");

    let answer = proxy
        .reload(|file| {
            file["listeners"][1] = second(free.to_string());
            file["routes"][0]["allow"] = json!("true");
            file["routes"].as_array_mut().unwrap().push(json!({
                "from": "http://plain.localhost", "to": upstream.url(), "authenticate": "none", "allow": "true",
            }));
            file["routes"].as_array_mut().unwrap().push(json!({
                "from": "http://other.localhost", "to": "https://127.0.0.1:9", "authenticate": "none", "allow": "true",
                "upstream_tls": { "ca_file": "cert.pem" },
            }));
        })
        .await?;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(told().await?, 2);
    let mut plain = TcpStream::connect(free).await?;
    assert_eq!(ask(&mut plain, "plain.localhost").await?, 200);
    assert_eq!(ask(&mut kept, "one.localhost").await?, 200, "the connection goes on");
    // Each thread has connections of its own, and each of ours is served by another.
    assert!(connections.load(Ordering::Relaxed) <= 2, "the upstream's connection is used again");

    let answer = proxy
        .reload(|file| {
            file["listeners"].as_array_mut().unwrap().pop();
            file["routes"].as_array_mut().unwrap().pop();
        })
        .await?;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(told().await?, 1, "what is gone raises no alarm");
    assert_eq!(plain.read(&mut [0]).await?, 0, "the connections of a listener that is gone end");
    let refused = async {
        // The thread that accepts lets go of the socket at its next turn.
        while TcpStream::connect(free).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await?;
    assert_eq!(ask(&mut kept, "one.localhost").await?, 200);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn settings_of_a_listener_hold_for_connections_that_are_open() -> Result {
    let upstream = Upstream::hello().await?;
    let more = json!({ "authenticate": "none", "allow": "request.ip == '198.51.100.7'" });
    let proxy = Setup::default().route("one", &upstream.url(), &more).start().await?;
    let mut kept = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    let host = "one.localhost\r\nx-forwarded-for: 198.51.100.7";
    assert_eq!(ask(&mut kept, host).await?, 403);
    proxy.reload(|file| file["listeners"][0]["trusted_proxies"] = json!(["127.0.0.1"])).await?;
    assert_eq!(ask(&mut kept, host).await?, 200);
    proxy.reload(|file| file["listeners"][0]["trusted_proxies"] = json!([])).await?;
    assert_eq!(ask(&mut kept, host).await?, 403, "nobody is trusted any more");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn policy_files_and_files_behind_links_are_watched() -> Result {
    let upstream = Upstream::hello().await?;
    let policy = |when: &str| format!("policies:\n  - name: mounted\n    allow: {when}\n");
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    // As Kubernetes mounts a ConfigMap: names lead through `..data`, which is exchanged as a whole.
    let mount = proxy.folder().path("mount");
    let publish = |version: &str, when: &str| -> Result {
        std::fs::create_dir_all(mount.join(version))?;
        std::fs::write(mount.join(version).join("policies.yaml"), policy(when))?;
        std::os::unix::fs::symlink(version, mount.join("..new"))?;
        Ok(std::fs::rename(mount.join("..new"), mount.join("..data"))?)
    };
    std::fs::create_dir(&mount)?;
    publish("..1", "'true'")?;
    std::os::unix::fs::symlink("..data/policies.yaml", mount.join("policies.yaml"))?;
    let answer = proxy
        .reload(|file| {
            file["policy_files"] = json!(["mount/*.yaml"]);
            file["routes"][0] = json!({
                "from": "https://one.localhost", "to": upstream.url(), "authenticate": "none", "policy": "mounted",
            });
        })
        .await?;
    assert_eq!(status(&answer), 200, "{answer}");
    let browser = &mut proxy.browser();
    assert_eq!(browser.get("https://one.localhost/").await?.status, 200);
    let first = proxy.revision().await?;
    publish("..2", "'false'")?;
    until(&proxy, "/readyz?verbose", |answer| !answer.contains(&first)).await?;
    assert_eq!(browser.get("https://one.localhost/").await?.status, 403);

    // A new file that matches is found, and so is the correction of a bad one.
    std::fs::write(mount.join("more.yaml"), "policies: [{ name: more, allow: nobody }]")?;
    until(&proxy, "/readyz?verbose", |answer| answer.contains("more.yaml")).await?;
    std::fs::write(mount.join("more.yaml"), "policies: [{ name: more, allow: 'true' }]")?;
    until(&proxy, "/readyz?verbose", |answer| answer.contains("configuration: good")).await?;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_set_for_the_life_of_the_process_is_refused_and_said() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    for (change, key) in [
        (json!({ "admin": { "address": "127.0.0.1:9" } }), "admin.address"),
        (json!({ "authenticate": { "session": { "store": "file:other.db" } } }), "authenticate.session.store"),
        (json!({ "audit": { "dir": "elsewhere" } }), "audit.dir"),
        (json!({ "audit": { "retention": { "age": "1d" } } }), "audit.retention"),
    ] {
        let mut before = Value::Null;
        let answer = proxy
            .reload(|file| {
                before = file.clone();
                integration::merge(file, &change);
            })
            .await?;
        assert_eq!(status(&answer), 422, "{answer}");
        let expected = format!("`{key}` cannot change while the process runs: restart it, or write what was there");
        assert!(answer.contains(&expected), "{answer}");
        assert_eq!(status(&proxy.reload(|file| *file = before).await?), 200);
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn sessions_outlive_a_configuration_and_obey_the_next_one() -> Result {
    let upstream = Upstream::hello().await?;
    let allow = json!({ "allow": "'engineering' in user.groups" });
    let proxy = Setup::default().route("one", &upstream.url(), &allow).start().await?;
    let mut ada = proxy.signed_in("ada", "one").await?;
    proxy.reload(|file| file["routes"][0]["allow"] = json!("user.authenticated")).await?;
    assert_eq!(ada.get("https://one.localhost/").await?.status, 200);
    proxy.signed_in("grace", "one").await?;

    let answer = proxy.reload(|file| file["authenticate"]["session"]["lifetime"] = json!("1s")).await?;
    assert_eq!(status(&answer), 200, "{answer}");
    tokio::time::timeout(Duration::from_secs(30), async {
        while ada.send(http::Method::GET, "https://one.localhost/", &[], bytes::Bytes::new()).await?.status != 401 {}
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })
    .await??;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_hundred_reloads_under_load_lose_no_request_and_leak_nothing() -> Result {
    const RELOADS: usize = 100;
    let (upstream, _) = counting().await?;
    let proxy = Arc::new(Setup::default().route("one", &upstream.url(), &open()).start().await?);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut load = tokio::task::JoinSet::new();
    for client in 0..4 {
        let (proxy, stopped) = (Arc::clone(&proxy), stopped.clone());
        load.spawn(async move {
            let mut answers = 0_u32;
            let mut kept = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
            while !*stopped.borrow() {
                let answered = if client % 2 == 0 {
                    ask(&mut kept, "one.localhost").await?
                } else {
                    proxy.browser().get("https://one.localhost/").await?.status.as_u16()
                };
                assert_eq!(answered, 200);
                answers += 1;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answers)
        });
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    let mut before = 0;
    for round in 0..RELOADS {
        let answer = proxy
            .reload(|file| {
                file["routes"][0]["allow"] =
                    if round % 10 == 9 { json!("nonsense") } else { json!(format!("{round} == {round}")) };
            })
            .await?;
        assert_eq!(status(&answer), if round % 10 == 9 { 422 } else { 200 }, "{answer}");
        if round == 9 {
            before = descriptors()?;
        }
    }
    let after = descriptors()?;
    stop.send_replace(true);
    let mut answers = 0;
    while let Some(client) = load.join_next().await {
        answers += client??;
    }
    assert!(answers > 100, "{answers}");
    // Other tests of this process open and close as well.
    assert!(after < before + 500, "{before} descriptors became {after}");
    let proxy = Arc::into_inner(proxy).ok_or("in use")?;
    let records = proxy.stop().await?;
    let revisions: std::collections::BTreeSet<_> =
        records.iter().filter(|record| record["kind"] == "request").map(|record| record["revision"].as_str()).collect();
    assert!(revisions.len() > 10, "{revisions:?}");
    Ok(())
}

#[tokio::test]
async fn tickets_of_tls_outlive_a_configuration() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let tls = proxy.tls();
    let shake = async || -> Result<rustls::HandshakeKind> {
        let stream = TcpStream::connect(proxy.address()).await?;
        let name = rustls_pki_types::ServerName::try_from("one.localhost")?;
        let mut stream = tokio_rustls::TlsConnector::from(Arc::clone(&tls)).connect(name, stream).await?;
        // A ticket comes with the first answer.
        stream.write_all(b"GET / HTTP/1.1\r\nhost: one.localhost\r\nconnection: close\r\n\r\n").await?;
        stream.read_to_end(&mut Vec::new()).await?;
        stream.get_ref().1.handshake_kind().ok_or_else(|| "no handshake".into())
    };
    assert_eq!(shake().await?, rustls::HandshakeKind::Full);
    proxy.reload(|file| file["routes"][0]["allow"] = json!("1 == 1")).await?;
    assert_eq!(shake().await?, rustls::HandshakeKind::Resumed);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn an_http2_connection_sees_one_revision_after_the_other() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let mut requests = http2(&proxy, "one.localhost").await?;
    let get = || http::Request::get("https://one.localhost/").body(()).unwrap();
    assert_eq!(requests.send_request(get(), true)?.0.await?.status(), 200);
    proxy.reload(|file| file["routes"][0]["allow"] = json!("false")).await?;
    let mut requests = requests.ready().await?;
    assert_eq!(requests.send_request(get(), true)?.0.await?.status(), 403);
    proxy.stop().await?;
    Ok(())
}
