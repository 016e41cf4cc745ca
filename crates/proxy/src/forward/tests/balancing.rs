//! Which endpoint gets a request: by strategy, by health and by what became of the requests before.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::config::{HashBy, HealthCheck, HealthProbe, LoadBalancing, OutlierDetection};

/// An upstream that says who it is, with a status that a test can change.
struct Named {
    address: SocketAddr,
    fails: Arc<AtomicBool>,
}

async fn named(name: &'static str) -> Named {
    let fails = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&fails);
    let upstream = upstream(Http::One, move |_| {
        let status = if seen.load(Ordering::SeqCst) { 503 } else { 200 };
        async move { Response::builder().status(status).body(full(name)).unwrap() }
    })
    .await;
    Named { address: upstream.address, fails }
}

async fn three() -> [Named; 3] {
    [named("a").await, named("b").await, named("c").await]
}

fn weighted(upstreams: &[Named], weights: &[u32], load_balancing: LoadBalancing) -> Route {
    let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address).collect();
    let mut route = route(EndpointScheme::Http, &addresses);
    route.to.iter_mut().zip(weights).for_each(|(to, weight)| to.weight = *weight);
    route.upstream.load_balancing = load_balancing;
    route
}

async fn answers(front: &Front, number: usize) -> String {
    let client = Client::connect(Http::One, front).await;
    let mut answers = String::new();
    for _ in 0..number {
        answers += &text(client.get("/").await).await;
    }
    answers
}

#[tokio::test]
async fn endpoints_take_turns_by_weight() {
    let upstreams = three().await;
    let front = front(Http::One, &weighted(&upstreams, &[3, 1, 1], LoadBalancing::RoundRobin)).await;
    assert_eq!(answers(&front, 10).await, "abacaabaca");
}

#[tokio::test]
async fn chance_gives_every_endpoint_its_share() {
    let upstreams = three().await;
    let front = front(Http::One, &weighted(&upstreams, &[2, 1, 1], LoadBalancing::Random)).await;
    let answers = answers(&front, 400).await;
    let share = |name: char| answers.matches(name).count();
    assert!((160..240).contains(&share('a')) && (70..130).contains(&share('b')), "{answers}");
}

#[tokio::test]
async fn the_endpoint_with_the_fewest_open_requests_is_chosen() {
    let (release, held) = tokio::sync::watch::channel(false);
    let slow = upstream(Http::One, move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|released| *released).await.unwrap();
            Response::new(full("slow"))
        }
    })
    .await;
    let quick = named("q").await;
    let mut route = route(EndpointScheme::Http, &[slow.address, quick.address]);
    route.upstream.load_balancing = LoadBalancing::LeastRequest;
    let front = front(Http::One, &route).await;
    let waiting = Client::connect(Http::One, &front).await;
    let waiting = tokio::spawn(async move { text(waiting.get("/").await).await });
    while slow.connections() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(answers(&front, 6).await, "qqqqqq");
    release.send(true).unwrap();
    assert_eq!(waiting.await.unwrap(), "slow");
}

#[tokio::test]
async fn a_caller_stays_at_one_endpoint_and_only_its_own_fall_moves_it() {
    let upstreams = three().await;
    let route = weighted(&upstreams, &[1, 1, 1], LoadBalancing::ConsistentHash(HashBy::User));
    let cluster = Cluster::build(&route, &Pools::default()).unwrap();
    let first = |cluster: &Cluster, caller: u64| {
        cluster.select(Some(caller)).map(|target| Arc::clone(target.endpoint.name())).next().unwrap()
    };
    let before: Vec<_> = (0..300).map(|caller| first(&cluster, caller)).collect();
    for upstream in &upstreams {
        let name = format!("http://{}", upstream.address);
        let share = before.iter().filter(|endpoint| ***endpoint == *name).count();
        assert!((60..140).contains(&share), "{name}: {share}");
    }
    let gone = format!("http://{}", upstreams[2].address);
    let fewer = weighted(&upstreams[..2], &[1, 1], LoadBalancing::ConsistentHash(HashBy::User));
    let fewer = Cluster::build(&fewer, &Pools::default()).unwrap();
    for (caller, endpoint) in before.iter().enumerate().filter(|(_, endpoint)| ***endpoint != *gone) {
        assert_eq!(first(&fewer, caller as u64), *endpoint, "caller {caller}");
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_in_a_row_is_left_out_but_never_the_last_half() {
    let upstreams = three().await;
    let mut route = weighted(&upstreams, &[1, 1, 1], LoadBalancing::RoundRobin);
    route.upstream.outlier_detection =
        Some(OutlierDetection { consecutive_failures: 2, ..OutlierDetection::default() });
    let front = front(Http::One, &route).await;
    upstreams[0].fails.store(true, Ordering::SeqCst);
    upstreams[1].fails.store(true, Ordering::SeqCst);
    answers(&front, 12).await;
    let later = answers(&front, 12).await;
    let (a, b) = (later.contains('a'), later.contains('b'));
    assert!(a != b && later.contains('c'), "one of the two is left out: {later}");
}

#[tokio::test]
async fn an_ejected_endpoint_stays_out_in_the_next_configuration_unless_what_counts_is_another() {
    let upstreams = three().await;
    let mut route = weighted(&upstreams, &[1, 1, 1], LoadBalancing::RoundRobin);
    route.upstream.outlier_detection =
        Some(OutlierDetection { consecutive_failures: 1, ..OutlierDetection::default() });
    let pools = Pools::default();
    let before = Cluster::build(&route, &pools).unwrap();
    let worst = before.select(None).next().unwrap();
    before.failed(worst);
    let ejected = |cluster: &Cluster| {
        let view = cluster.view().endpoints;
        view.iter().filter(|endpoint| endpoint.state == crate::EndpointState::Ejected).count()
    };
    assert_eq!(ejected(&before), 1);
    // Further endpoints change nothing for those that stay.
    let more = three().await;
    route.to.extend(weighted(&more, &[1, 1, 1], LoadBalancing::RoundRobin).to);
    assert_eq!(ejected(&Cluster::build(&route, &pools).unwrap().after(&before)), 1);
    route.upstream.outlier_detection = Some(OutlierDetection::default());
    assert_eq!(ejected(&Cluster::build(&route, &pools).unwrap().after(&before)), 0);
    route.upstream.outlier_detection = None;
    assert_eq!(ejected(&Cluster::build(&route, &pools).unwrap().after(&before)), 0);
}

#[tokio::test]
async fn the_only_endpoint_is_never_left_out() {
    let upstream = named("a").await;
    let mut route = weighted(std::slice::from_ref(&upstream), &[1], LoadBalancing::RoundRobin);
    route.upstream.outlier_detection =
        Some(OutlierDetection { consecutive_failures: 1, ..OutlierDetection::default() });
    upstream.fails.store(true, Ordering::SeqCst);
    assert_eq!(answers(&front(Http::One, &route).await, 5).await, "aaaaa");
}

fn check(probe: HealthProbe) -> HealthCheck {
    HealthCheck {
        probe,
        interval: Duration::from_millis(5),
        jitter: Duration::from_millis(1),
        timeout: Duration::from_secs(5),
        healthy_threshold: 2,
        unhealthy_threshold: 2,
    }
}

fn http_check() -> HealthCheck {
    check(HealthProbe::Http { path: "/healthz".parse().unwrap(), host: None })
}

fn watched(route: &Route) -> Arc<Cluster> {
    let cluster = Arc::new(Cluster::build(route, &Pools::default()).unwrap());
    cluster.watch();
    cluster
}

/// Waits until so many endpoints are in this state.
async fn until(cluster: &Cluster, state: crate::EndpointState, number: usize) {
    let reached = async {
        while cluster.view().endpoints.iter().filter(|endpoint| endpoint.state == state).count() != number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the state is never reached");
}

#[tokio::test]
async fn an_endpoint_that_fails_its_checks_gets_nothing_until_it_is_well_again() {
    let upstreams = [named("a").await, named("b").await];
    let mut route = weighted(&upstreams, &[1, 1], LoadBalancing::RoundRobin);
    route.upstream.health_check = Some(http_check());
    upstreams[0].fails.store(true, Ordering::SeqCst);
    let cluster = watched(&route);
    until(&cluster, crate::EndpointState::Unhealthy, 1).await;
    let front = front_of(Http::One, Arc::clone(&cluster)).await;
    assert_eq!(answers(&front, 4).await, "bbbb");
    upstreams[0].fails.store(false, Ordering::SeqCst);
    until(&cluster, crate::EndpointState::Available, 2).await;
    let back = answers(&front, 4).await;
    assert!(back == "abab" || back == "baba", "{back}");
}

#[tokio::test]
async fn without_a_healthy_endpoint_nothing_is_forwarded_unless_panic_says_so() {
    let upstreams = [named("a").await, named("b").await];
    let mut route = weighted(&upstreams, &[1, 1], LoadBalancing::RoundRobin);
    route.upstream.health_check = Some(http_check());
    upstreams.iter().for_each(|upstream| upstream.fails.store(true, Ordering::SeqCst));
    let cluster = watched(&route);
    until(&cluster, crate::EndpointState::Unhealthy, 2).await;
    let front = front_of(Http::One, Arc::clone(&cluster)).await;
    let (kind, _) = failure(Client::connect(Http::One, &front).await.get("/").await).await;
    assert_eq!(kind, "NoHealthyUpstream");
    route.upstream.panic_threshold = 50;
    let panicking = watched(&route);
    until(&panicking, crate::EndpointState::Unhealthy, 2).await;
    let panicking = front_of(Http::One, panicking).await;
    assert_eq!(answers(&panicking, 2).await, "ab");
}

#[tokio::test]
async fn a_check_by_connection_finds_that_nobody_listens() {
    let upstreams = [named("a").await];
    let mut route = weighted(&upstreams, &[1], LoadBalancing::RoundRobin);
    route.to.push(Endpoint { port: super::pooling::dead().await.port(), ..route.to[0].clone() });
    route.upstream.health_check = Some(check(HealthProbe::Tcp));
    let cluster = watched(&route);
    until(&cluster, crate::EndpointState::Unhealthy, 1).await;
    assert_eq!(answers(&front_of(Http::One, cluster).await, 3).await, "aaa");
}

/// A server of `grpc.health.v1` that serves one service, and knows of another that it does not serve.
async fn grpc_health() -> Upstream {
    upstream(Http::Two, async |request: Request<Incoming>| {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        let (status, message): (&str, &[u8]) = match &asked[5..] {
            b"\x0a\x02up" | b"" => ("0", b"\0\0\0\0\x02\x08\x01"),
            b"\x0a\x04down" => ("0", b"\0\0\0\0\x02\x08\x02"),
            _ => ("5", b""),
        };
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(status));
        let (frames, body) = fed();
        if !message.is_empty() {
            frames.send(data(message)).unwrap();
        }
        frames.send(Frame::trailers(trailers)).unwrap();
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    })
    .await
}

#[tokio::test]
async fn a_grpc_server_is_asked_by_its_own_protocol() {
    let server = grpc_health().await;
    for (service, expected) in [
        ("", crate::EndpointState::Available),
        ("up", crate::EndpointState::Available),
        ("down", crate::EndpointState::Unhealthy),
        ("unknown", crate::EndpointState::Unhealthy),
    ] {
        let mut route = route(EndpointScheme::H2c, &[server.address]);
        route.upstream.health_check = Some(check(HealthProbe::Grpc { service: service.to_owned() }));
        let cluster = watched(&route);
        while server.connections() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        until(&cluster, expected, 1).await;
    }
}
