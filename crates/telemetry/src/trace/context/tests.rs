//! What is believed of `traceparent` and `tracestate`, and what is written.

use http::HeaderMap;

use super::{Context, Sampler, SpanId};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const IDS: &str = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn a_caller_that_says_where_it_stands_is_understood() {
    let context = Context::read(&headers(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]));
    let context = context.unwrap();
    assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((context.span.to_string(), context.is_sampled), ("b7ad6b7169203331".to_owned(), true));
    assert_eq!(context.state.unwrap(), "a=1,b=2");
    let sampled = |flags: &str| {
        let text = format!("00{IDS}{flags}");
        Context::read(&headers(&[("traceparent", &text)])).unwrap().is_sampled
    };
    assert_eq!([sampled("00"), sampled("03"), sampled("fe")], [false, true, false]);
    let later = format!("cc{IDS}01-what-will-come");
    assert!(Context::read(&headers(&[("traceparent", &later)])).is_some());
}

#[test]
fn what_is_not_written_as_it_must_be_is_nothing() {
    let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    for text in [
        "",
        "00",
        &format!("00{IDS}0"),
        &format!("{PARENT}-"),
        &format!("{PARENT}0"),
        &format!("ff{IDS}01"),
        &PARENT.to_uppercase(),
        &format!("cc{IDS}01x"),
        &zero_trace,
        &format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16)),
        &PARENT.replace('-', "_"),
        &PARENT.replace("00-0af7", "00-0ag7"),
        &PARENT.replace("c-b7ad", "-cb7ad"),
    ] {
        assert_eq!(Context::read(&headers(&[("traceparent", text)])), None, "{text}");
    }
    assert_eq!(Context::read(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)])), None);
    assert_eq!(Context::read(&headers(&[("tracestate", "a=1")])), None);
}

#[test]
fn a_state_that_is_too_long_is_left_out_and_the_trace_goes_on() {
    let many = vec!["a=1"; 33].join(",");
    for state in ["", &format!("a={}", "x".repeat(511)), &many] {
        let context = Context::read(&headers(&[("traceparent", PARENT), ("tracestate", state)])).unwrap();
        assert_eq!(context.state, None, "{state}");
    }
}

#[test]
fn what_is_written_replaces_what_was_there() {
    let mut told = headers(&[("traceparent", "x"), ("traceparent", "y"), ("tracestate", "z=1")]);
    let context = Context::root(Sampler::new(0.0));
    context.write(SpanId(7), &mut told);
    let parent = format!("00-{}-0000000000000007-00", context.trace_id());
    assert_eq!(told.get_all("traceparent").iter().collect::<Vec<_>>(), [parent.as_str()]);
    assert!(!told.contains_key("tracestate"));
    let told = headers(&[("traceparent", PARENT), ("tracestate", "a=1")]);
    let context = Context::read(&told).unwrap().child();
    let mut onward = HeaderMap::new();
    context.write(context.span, &mut onward);
    let onward = Context::read(&onward).unwrap();
    assert_eq!((onward.trace, onward.is_sampled), (context.trace, true));
    assert_eq!(onward.state.unwrap(), "a=1");
    assert_ne!(onward.span.to_string(), "b7ad6b7169203331");
}

#[test]
fn a_ratio_samples_that_part_and_the_same_traces_everywhere() {
    let taken = |ratio| {
        let sampler = Sampler::new(ratio);
        (0..2000).filter(|_| Context::root(sampler).is_sampled).count()
    };
    assert_eq!((taken(0.0), taken(1.0)), (0, 2000));
    assert!((850..1150).contains(&taken(0.5)));
    let trace = *b"xxxxxxxxx\x80\0\0\0\0\0\0";
    assert!(Sampler::new(0.5).takes(trace) && !Sampler::new(0.49).takes(trace));
}

#[test]
fn spans_of_a_trace_have_ids_of_their_own() {
    let ids: std::collections::BTreeSet<_> = (0..1000).map(|number| SpanId(1).child(number).0).collect();
    assert_eq!(ids.len(), 1000);
}
