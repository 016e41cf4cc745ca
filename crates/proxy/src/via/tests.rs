//! Ways that requests have come.

use super::*;

fn check(came: &[&'static str], version: Version, expected: Result<&[&str], StatusCode>) {
    let mut headers: HeaderMap = came.iter().map(|line| (VIA, HeaderValue::from_static(line))).collect();
    let added = add(&mut headers, version).map_err(|refusal| refusal.status);
    let way: Vec<_> = headers.get_all(VIA).iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(added.map(|()| &way[..]), expected, "{came:?}");
}

#[test]
fn a_hop_is_added_behind_those_that_are_named() {
    check(&[], Version::HTTP_11, Ok(&["1.1 portcullis"]));
    check(&[], Version::HTTP_10, Ok(&["1.0 portcullis"]));
    check(&[], Version::HTTP_2, Ok(&["2.0 portcullis"]));
    check(&["1.0 fred, 1.1 p.example (x)"], Version::HTTP_11, Ok(&["1.0 fred, 1.1 p.example (x)", "1.1 portcullis"]));
}

#[test]
fn a_request_that_has_come_through_here_too_often_is_refused() {
    let six = "1.1 portcullis, 2.0 portcullis,1.1 portcullis , 1.1 portcullis, 1.1 b, 1.1 portcullis, 1.1 portcullis";
    check(&[six, "1.1 portcullis"], Version::HTTP_2, Ok(&[six, "1.1 portcullis", "2.0 portcullis"]));
    check(&[six, "1.1 portcullis", "1.1 portcullis"], Version::HTTP_2, Err(StatusCode::LOOP_DETECTED));
    let others = "1.1 aportcullis, 1.1 portcullis.example, 1.1 x-portcullis, 1.1 portcullis (edge)";
    check(&[others, others, others], Version::HTTP_11, Ok(&[others, others, others, "1.1 portcullis"]));
}
