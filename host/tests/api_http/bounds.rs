//! Who is turned away.

use serde_json::json;

use crate::client::{ask, start};

#[test]
fn a_page_elsewhere_can_not_read_it_through_a_browser() {
    let (_folder, serve) = start(&[]);
    let foreign = ask(
        &serve.api,
        "GET",
        "/api/v1/signals",
        &[("host", "evil.example:4320")],
        "",
    );
    assert_eq!(
        (foreign.status, &foreign.json()["error"]["code"]),
        (403, &json!("foreign_host"))
    );
    assert_eq!(
        ask(
            &serve.api,
            "GET",
            "/api/v1/signals",
            &[("host", "localhost")],
            ""
        )
        .status,
        200
    );
}
