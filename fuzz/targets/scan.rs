//! The lazy scan against prost: the same bytes are accepted or refused, and the same spans and values read.
//!
//! The first byte says what the others are: a request as it is, or choices from which one is written that is nearly right.

#![no_main]

#[path = "../../host/tests/otlp_support/mod.rs"]
mod otlp_support;

use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use otlp_support::soup::{Choices, REQUEST, message};
use otlp_support::{mirror, plain};

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    if first % 2 == 0 {
        agree(rest);
    } else {
        agree(&message(&mut Choices(rest), &REQUEST));
    }
});

fn agree(bytes: &[u8]) {
    let mut scan = Scan::default();
    let ours = Request::scan(Bytes::copy_from_slice(bytes), &mut scan);
    match (mirror::decode(bytes), ours) {
        (Ok(theirs), Ok(ours)) => {
            assert_eq!(plain::of_mirror(&theirs), plain::of_scan(&ours, &scan));
        }
        (Err(_), Err(error)) => assert!(error.offset as usize <= bytes.len()),
        (Ok(_), Err(error)) => panic!("only prost accepts: {error}"),
        (Err(error), Ok(_)) => panic!("only the scan accepts: {error}"),
    }
}
